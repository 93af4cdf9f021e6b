"""``elman serve`` as a process: what it loads, says, logs, refuses, and how it stops."""

import json
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from server.serving import TOKEN, serving, write_model
from websockets.exceptions import ConnectionClosed

from elman.cli.main import run
from elman.server.files import FOLDER


def test_no_torch_is_loaded(folder, tmp_path):
    """Nor can it be: a folder on the path says so to whoever imports it."""
    (tmp_path / "torch.py").write_text("raise ImportError('torch was asked for')")
    with serving(folder, environment={"PYTHONPATH": str(tmp_path)}) as server:
        live = server.session()
        live.type("the ")
        live.suggested()
        assert server.ask("POST", "/v1/generate", {"length": 5}).data.count(b"event: done") == 1
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "_core" in maps and "torch" not in maps


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path, how):
    """Sessions are told to come back later, text that is being written ends with a word why."""
    # A model so large that its 20,000 characters take seconds.
    with serving(write_model(tmp_path / "large", seed=3, hidden=700)) as server:
        live = server.session()
        live.type("abc")
        live.suggested()
        body = b'{"length":20000}'
        held = server.raw(
            f"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        while b"event: text" not in held.recv(1 << 10):
            pass
        took = []
        stopping = threading.Thread(target=lambda: took.append(server.stop(how)))
        stopping.start()
        text = b""
        while part := held.recv(1 << 16):
            text += part
        assert b'event: error\ndata: {"error":"[generate] the server is stopping' in text
        with pytest.raises(ConnectionClosed) as found:
            live.receive()
        assert found.value.rcvd.code == 1012
        stopping.join()
        code, seconds = took[0]
        assert code in ((-15, 143) if how == signal.SIGTERM else (130,))
        assert seconds < 10
        assert not [line for line in server.log if "Traceback" in line]
        held.close()


def test_it_stops_within_ten_seconds_whoever_holds_on(folder):
    """A client that answers nothing, and one that never reads."""
    with serving(folder) as server:
        live = server.session()
        live.socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        half = server.raw(b"POST /v1/complete HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        _, seconds = server.stop()
        assert seconds < 10
        half.close()


SECRET = "XyzzyPlugh"


def test_nothing_typed_is_logged(folder, tmp_path):
    """Not what is sent in any way, right or wrong; nor the token, nor a session's id."""
    with serving(folder) as server:
        live = server.session()
        live.type(f"the {SECRET}")
        live.suggested()
        for path in ("/?token=", "/", "/v1/models?q=", "/page/"):
            server.ask("GET", path + SECRET)
        for body in ({"text": SECRET}, {SECRET: 1}, {"text": SECRET, "n": 0}):
            server.ask("POST", "/v1/complete", body)
        server.ask("POST", "/v1/complete", SECRET.encode(), {"Content-Type": "application/json"})
        server.ask("POST", "/v1/generate", {"prompt": SECRET, "length": 3})
        server.ask("GET", "/", headers={"Host": SECRET, "Origin": SECRET, "Cookie": SECRET})
        held = server.raw(f"{SECRET} {SECRET}\r\n\r\n".encode())
        held.recv(1000)
        held.close()
        live.socket.send(json.dumps({"type": SECRET}))
        with pytest.raises(ConnectionClosed):
            while True:
                live.receive()
        metrics = server.ask("GET", "/metrics").data.decode()
        server.stop()
        time.sleep(0.2)
        log = "".join(server.log)
    for word in (SECRET, SECRET.lower(), TOKEN, live.id, server.once.partition("=")[2]):
        assert word not in log + metrics
    assert log.count("POST /v1/complete 400") == 3
    assert log.count("WebSocket /v1/session 1008") == 1
    assert log.count("GET / 401") + log.count("GET - 401") == 1


def test_a_fault_is_one_line_that_quotes_nothing(folder, monkeypatch, caplog):
    """An exception's text may hold what was typed: the log says where it was, and no more."""
    from elman.server import guard

    try:
        raise KeyError(SECRET)
    except KeyError as error:
        response = guard._response(error)
    assert response.status_code == 500
    assert SECRET not in response.body.decode() + caplog.text
    assert next(each.getMessage() for each in caplog.records).startswith("KeyError at ")


REFUSED = {
    "no model": (["nowhere"], 5, "must be a model folder"),
    "all addresses": (["{folder}", "--host", "0.0.0.0"], 2, "--allowed-host"),
    "a star": (["{folder}", "--allowed-host", "*"], 2, "--allowed-host must be a name"),
    "short token": (["{folder}", "--token", "abc"], 2, "--token must have 16 to 512"),
    "both tokens": (["{folder}", "--token", "a" * 20, "--no-token"], 2, "exclude each other"),
    "twice a name": (["{folder}", "{folder}"], 2, "two models are called small"),
    "sessions": (["{folder}", "--sessions", "1000000"], 2, "sessions must be from 1 to 2048"),
    "state": (["{folder}", "--state", "mysql://x"], 2, "--state must be memory or an address"),
    "port": (["{folder}", "--port", "70000"], 2, "'--port'"),
    "port taken": (["{folder}", "--port", "{taken}"], 2, "must be free"),
    "no address": (["{folder}", "--host", "256.1.1.1", "--allowed-host", "a"], 2, "must be free"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(folder, server, case, capfd):
    words, code, line = REFUSED[case]
    words = [word.format(folder=folder, taken=server.port) for word in words]
    assert run(["serve", *words]) == code
    said = capfd.readouterr()
    assert line in said.err and said.err.count("\n") == 1


def test_the_page_is_served(server):
    answer = server.ask("GET", "/")
    assert answer.data == (FOLDER / "index.html").read_bytes()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for path in FOLDER.iterdir():
        if path.suffix in (".js", ".css", ".svg"):
            again = server.ask("GET", f"/page/{path.name}")
            assert again.data == path.read_bytes()
            tag = {"If-None-Match": again.headers["etag"]}
            assert server.ask("GET", f"/page/{path.name}", headers=tag).status == 304
