"""Live sessions, over real sockets: what they say, and the cases a stateful server must survive."""

import asyncio
import json
import random
import time

import numpy as np
import pytest
import websockets
from server.serving import LETTERS, TOKEN, alone, offered, run_apart, serving
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.timeout(120)


def closing(live, timeout=20):
    """The close code, and the line said before it."""
    line = ""
    with pytest.raises(ConnectionClosed) as found:
        while True:
            message = live.receive(timeout)
            line = message.get("error", line)
    return found.value.rcvd.code if found.value.rcvd else 1006, line


def test_typing_says_what_the_model_says(server, model):
    live = server.session()
    assert live.started | {"session": ""} == {
        "type": "started",
        "session": "",
        "model": "small",
        "text": "",
        "number": 0,
        "hidden_size": 37,
        "surprise": [],
    }
    nats = []
    for letter in "the 漢字 cafe\u0301, 😀 b":
        live.type(letter)
        message, passed = live.until("suggestions", live.number)
        assert offered(message) == alone(model, live.text)[1]
        surprise = next(each for each in passed if each["type"] == "surprise")
        assert (surprise["number"], surprise["from"]) == (live.number, len(live.text) - 1)
        nats += surprise["nats"]
    assert nats == alone(model, live.text)[0]
    live.close()


def test_edits_anywhere_are_as_if_typed_so_from_the_start(server, model):
    live, draw = server.session(), random.Random(1)
    surprise = []
    for _ in range(120):
        keep = draw.choice([len(live.text), draw.randint(0, len(live.text))])
        live.edit(keep, "".join(draw.choices(LETTERS, k=draw.choice([0, 1, 1, 3, 200]))))
        message, passed = live.until("suggestions", live.number)
        for each in passed:
            if each["type"] == "surprise":
                surprise[each["from"] :] = each["nats"]
        expected, suggestions = alone(model, live.text)
        assert surprise == expected
        assert offered(message) == suggestions
    live.close()


def test_only_the_newest_edit_gets_suggestions(server, model):
    live = server.session()
    for letter in "abcdefgh" * 40:
        live.type(letter)
    message, passed = live.until("suggestions", live.number)
    assert offered(message) == alone(model, live.text)[1]
    told = [each["number"] for each in passed if each["type"] == "surprise"]
    assert told == list(range(1, 321))  # every edit was read
    assert sum(each["type"] == "suggestions" for each in passed) < 160
    live.close()


def test_hidden_states_of_all_that_stands_and_of_what_comes(server, model):
    live = server.session()
    live.type("abc de" * 50)
    live.suggested()
    live.send(type="hidden", on=True)
    columns = []
    while len(columns) < 300:
        message = live.receive()
        assert message["from"] == len(columns)
        columns += message["columns"]
    live.edit(290, "x漢")
    message, _ = live.until("hidden", live.number)
    assert message["from"] == 290
    columns[290:] = message["columns"]
    stream = model.stream()
    for letter, column in zip(live.text, columns, strict=True):
        stream.feed(letter)
        np.testing.assert_array_equal(column, np.rint(127 * stream.hidden()).astype(int))
    live.send(type="hidden", on=False)
    live.type("y")
    assert {each["type"] for each in live.until("suggestions")[1]} == {"surprise", "suggestions"}
    live.close()


def test_a_session_goes_on_after_its_socket_broke_and_no_end_was_said(server, model):
    live = server.session()
    live.type("the quick")
    live.suggested()
    live.socket.socket.close()  # no end, no close
    again = server.session(session=live.id)
    assert again.started["text"] == "the quick"
    assert again.started["number"] == 1
    assert again.started["session"] == live.id
    assert again.started["surprise"] == alone(model, "the quick")[0]
    again.type("er")
    assert offered(again.suggested()) == alone(model, "the quicker")[1]
    again.edit(3, "n")
    assert offered(again.suggested()) == alone(model, "then")[1]
    again.close()


def test_an_unknown_id_begins_another_session(server):
    live = server.session(session="never-given-out")
    assert live.id != "never-given-out"
    assert (live.text, live.number) == ("", 0)
    live.close()


def test_duplicate_id_the_newest_socket_has_the_session(server, model):
    first = server.session()
    first.type("abc")
    first.suggested()
    second = server.session(session=first.id)
    assert closing(first) == (4002, "[session] the session goes on in another window")
    second.type("d")
    assert offered(second.suggested()) == alone(model, "abcd")[1]
    second.close()


def test_no_start_is_cut_within_a_second(server):
    begun = time.monotonic()
    with server.socket() as silent, pytest.raises(ConnectionClosed) as found:
        line = json.loads(silent.recv(5))
        assert line["error"].startswith("[session] the first message must come at once")
        silent.recv(5)
    assert found.value.rcvd.code == 1008
    assert time.monotonic() - begun < 1.5


def test_another_first_message_is_refused(server):
    with server.socket() as held:
        held.send('{"type":"edit","number":1,"keep":0,"insert":"a"}')
        line = json.loads(held.recv(5))["error"]
        assert line == "[session] the first message must be start, found edit"
        with pytest.raises(ConnectionClosed) as found:
            held.recv(5)
    assert found.value.rcvd.code == 1008


def test_end_forgets(server):
    live = server.session()
    live.type("abc")
    live.suggested()
    live.send(type="end")
    assert closing(live) == (1000, "")
    again = server.session(session=live.id)
    assert again.id != live.id and again.text == ""
    again.close()


def test_reset_in_the_middle_of_a_stream(server, model):
    live = server.session()
    for letter in "the quick brown":
        live.type(letter)
    live.send(type="reset")
    live.text = ""
    for letter in "jumps":
        live.type(letter)
    message, passed = live.until("suggestions", live.number)
    assert offered(message) == alone(model, "jumps")[1]
    last = [each["nats"][0] for each in passed if each["type"] == "surprise"][-5:]
    assert last == alone(model, "jumps")[0]
    live.close()


def test_backlog_is_worked_off_and_the_sender_waits(server, model):
    """A client that sends without end, faster than served: nothing is lost, memory stays."""
    live = server.session()
    before = server.rss[0]
    text = "".join(random.Random(2).choices(LETTERS, k=2000))
    for letter in text:
        live.type(letter)
    for _ in range(300):
        live.edit(0, text[:100])
    live.edit(0, text)
    assert offered(live.suggested()) == alone(model, text)[1]
    assert server.rss[0] - before < 32 << 20
    live.close()


WRONG = {
    "not JSON": ("{", "must be JSON"),
    "a list": ("[]", "type must be one of start, edit, hidden, reset, end, found None"),
    "no type": ("{}", "type must be one of"),
    "unknown type": ('{"type":"eval"}', "found 'eval'"),
    "a second start": ('{"type":"start"}', "start must be the first message"),
    "a member too many": ('{"type":"reset","now":true}', "members are none, found 'now'"),
    "number missing": ('{"type":"edit","keep":0,"insert":""}', "number must be given"),
    "number skipped": ('{"type":"edit","number":3,"keep":0,"insert":""}', "number must be 1"),
    "number is text": ('{"type":"edit","number":"1","keep":0,"insert":""}', "must be an integer"),
    "number is true": ('{"type":"edit","number":true,"keep":0,"insert":""}', "must be an integer"),
    "keep beyond": ('{"type":"edit","number":1,"keep":1,"insert":""}', "keep must be at most 0"),
    "keep below 0": ('{"type":"edit","number":1,"keep":-1,"insert":""}', "must have from 0"),
    "keep huge": ('{"type":"edit","number":1,"keep":1e999,"insert":""}', "must be JSON"),
    "half a pair": ('{"type":"edit","number":1,"keep":0,"insert":"\\ud800"}', "not Unicode"),
    "twice a member": ('{"type":"hidden","on":true,"on":true}', "must be JSON"),
    "nested": ("[" * 30_000 + "]" * 30_000, "nested"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_message_ends_the_session_in_one_line(server, case):
    sent, expected = WRONG[case]
    live = server.session()
    live.socket.send(sent)
    code, line = closing(live)
    assert code == 1008
    assert expected in line and "\n" not in line and line.startswith("[")


def test_bytes_and_messages_too_large_are_refused(server):
    live = server.session()
    live.socket.send(b"abc")
    assert closing(live) == (1008, "[session] messages must be text, found bytes")
    live = server.session()
    live.socket.send("x" * 65_537)
    assert closing(live)[0] == 1009


def test_a_text_has_an_end(server, model):
    live = server.session()
    part = "".join(random.Random(4).choices(LETTERS, k=4000))
    for _ in range(5):
        live.type(part)
    live.suggested()
    live.type("x")
    error, _ = live.until("error")
    assert error["error"] == "[edit] a text must have at most 20,000 characters; reset the session"
    live.edit(0, "abc")  # of a text that the server does not have
    assert live.until("error")[0] == error
    live.send(type="reset")
    live.text = ""
    live.type("abc")
    assert offered(live.suggested()) == alone(model, "abc")[1]
    live.close()


def test_idle_and_lifetime(folder):
    with serving(folder, "--idle", 1, "--lifetime", 3) as server:
        live = server.session()
        begun = time.monotonic()
        live.type("a")
        code, line = closing(live)
        assert (code, 1 <= time.monotonic() - begun < 2) == (4000, True)
        assert line == "[session] the session rests, as nothing came; begin another"
        assert server.session(session=live.id).id != live.id  # it was forgotten
        live, begun = server.session(), time.monotonic()
        with pytest.raises(ConnectionClosed) as found:
            while True:
                live.type("a")
                live.suggested()
                time.sleep(0.2)
        assert found.value.rcvd.code == 4001
        assert 3 <= time.monotonic() - begun < 4


@pytest.mark.timeout(400)
def test_a_thousand_sessions_at_once_are_each_as_if_alone(folder, model):
    """Interleaved two letters at a time, exactly."""

    async def begin(port, gate):
        address = f"ws://127.0.0.1:{port}/v1/session"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with gate:
            socket = await websockets.connect(
                address, additional_headers=headers, compression=None, open_timeout=60
            )
            await socket.send('{"type":"start"}')
            await socket.recv()
        return socket

    async def write(socket, text):
        nats, last = [], None
        for number in range(1, len(text) // 2 + 1):
            keep = 2 * (number - 1)
            edit = {"type": "edit", "number": number, "keep": keep, "insert": text[keep : keep + 2]}
            await socket.send(json.dumps(edit))
            while last is None or last["number"] != number:
                message = json.loads(await socket.recv())
                if message["type"] == "suggestions":
                    last = message
                else:
                    nats += message["nats"]
        await socket.close()
        return nats, offered(last)

    async def all_of_them(port, texts):
        gate = asyncio.Semaphore(4)
        sockets = await asyncio.gather(*(begin(port, gate) for _ in texts))
        return await asyncio.gather(*map(write, sockets, texts))

    draw = random.Random(9)
    texts = ["".join(draw.choices(LETTERS, k=6)) for _ in range(1000)]
    with serving(folder, "--sessions", 1000, "--rate", 100_000) as server:
        found = run_apart(all_of_them(server.port, texts))
        assert server.rss[1] < 512 << 20
    assert found == [alone(model, text) for text in texts]


def test_when_all_places_are_taken_the_next_is_told_so_at_once(folder):
    with serving(folder, "--sessions", 3) as server:
        held = [server.session() for _ in range(3)]
        begun = time.monotonic()
        refused = server.session()
        assert (
            refused.started["error"] == "[serve] at most 3 sessions are served at a time; try later"
        )
        assert closing(refused)[0] == 1013
        assert time.monotonic() - begun < 1
        held[0].close()
        time.sleep(0.3)
        assert server.session().started["type"] == "started"
        assert server.metric("elman_sessions") == 3
