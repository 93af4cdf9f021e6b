"""Sessions in Redis: any server goes on with them, exactly, whatever became of the last one."""

import random
import shutil
import signal
import socket
import subprocess
import time

import pytest
from server.serving import LETTERS, alone, offered, serving
from websockets.exceptions import ConnectionClosed

REDIS = shutil.which("redis-server")
pytestmark = [
    pytest.mark.skipif(REDIS is None, reason="redis-server is absent; apt-get install it"),
    pytest.mark.timeout(120),
]


class Redis:
    """A Redis of one's own, on a free port of this machine."""

    def __init__(self, folder):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            self.port = held.getsockname()[1]
        words = ["--port", self.port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        command = [REDIS, *map(str, words), "--loglevel", "warning"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.url = f"redis://127.0.0.1:{self.port}/3"
        for _ in range(200):
            if self.tell("PING") == b"+PONG\r\n":
                return
            time.sleep(0.05)
        raise AssertionError("redis-server does not answer")

    def tell(self, *words):
        """One command in Redis' own words, and what comes back first."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as held:
                held.sendall(" ".join(words).encode() + b"\r\n")
                return held.recv(1 << 16)
        except OSError:
            return b""

    def close(self):
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def redis(tmp_path):
    made = Redis(tmp_path)
    yield made
    made.close()


def test_killed_in_the_middle_another_server_goes_on_exactly(redis, folder, model):
    draw = random.Random(11)
    with serving(folder, "--state", redis.url) as first:
        live = first.session()
        surprise = []
        for _ in range(30):
            live.edit(draw.randint(0, len(live.text)), "".join(draw.choices(LETTERS, k=9)))
            _, passed = live.until("suggestions", live.number)
            for each in passed:
                if each["type"] == "surprise":
                    surprise[each["from"] :] = each["nats"]
        known = live.number, live.text
        live.type("never read")
        first.stop(signal.SIGKILL)
    with serving(folder, "--state", redis.url) as second:
        again = second.session(session=live.id)
        # The last edit was read before the kill, or it was not; never half of it.
        assert (again.number, again.text) in (known, (live.number, live.text))
        assert again.started["surprise"][: len(surprise)] == surprise
        assert again.started["surprise"] == alone(model, again.text)[0]
        again.type("er b")
        assert offered(again.suggested()) == alone(model, again.text)[1]
        again.edit(5, "x")
        assert offered(again.suggested()) == alone(model, again.text)[1]


def test_two_servers_the_newest_socket_has_the_session(redis, folder, model):
    with serving(folder, "--state", redis.url) as one, serving(folder, "--state", redis.url) as two:
        first = one.session()
        first.type("abc")
        first.suggested()
        second = two.session(session=first.id)
        assert second.text == "abc"
        second.type("d")
        second.suggested()
        first.type("zzz")  # on a text that has gone on without it
        with pytest.raises(ConnectionClosed) as found:
            while True:
                assert first.receive()["type"] == "error"
        assert found.value.rcvd.code == 4002
        third = two.session(session=first.id)
        assert third.text == "abcd"
        assert third.started["surprise"] == alone(model, "abcd")[0]


def test_what_is_kept_ends_with_the_session(redis, folder):
    with serving(folder, "--state", redis.url, "--idle", 100) as server:
        live = server.session()
        live.type("abc")
        live.suggested()
        assert redis.tell("SELECT", "3\r\nDBSIZE").endswith(b":1\r\n")
        life = redis.tell("SELECT", f"3\r\nTTL elman:session:{live.id}")
        assert 90 <= int(life.split(b":")[-1]) <= 100
        live.send(type="end")
        with pytest.raises(ConnectionClosed):
            live.receive()
        assert redis.tell("SELECT", "3\r\nDBSIZE").endswith(b":0\r\n")


def test_damaged_or_foreign_records_are_refused_in_one_line(redis, folder):
    with serving(folder, "--state", redis.url) as server:
        for name, value in (("state", "x"), ("head", "{}"), ("nats", "abc"), ("text", "longer")):
            live = server.session()
            live.type("abc")
            live.suggested()
            redis.tell("SELECT", f"3\r\nHSET elman:session:{live.id} {name} {value}")
            again = server.session(session=live.id)
            assert again.started["type"] == "error"
            assert "\n" not in again.started["error"]
            live.close()


def test_redis_goes_away_and_comes_back(redis, folder):
    with serving(folder, "--state", redis.url) as server:
        live = server.session()
        live.type("abc")
        live.suggested()
        redis.process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        live.type("d")
        with pytest.raises(ConnectionClosed) as found:
            while True:
                assert live.receive()["type"] == "error"
        assert found.value.rcvd.code == 1013
        assert time.monotonic() - begun < 5
        assert server.ask("GET", "/healthz").status == 503
        redis.process.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        assert server.ask("GET", "/healthz").status == 200
        again = server.session(session=live.id)
        assert again.text in ("abc", "abcd")


def test_no_redis_no_server(redis, folder):
    redis.close()
    line = "--state must be a Redis that answers"
    with pytest.raises(AssertionError, match=line), serving(folder, "--state", redis.url):
        pass
