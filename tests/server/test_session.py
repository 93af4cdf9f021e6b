"""A session without sockets: any edits, exactly; the places it goes back to; what is kept."""

import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server.serving import LETTERS, alone, offered

from elman.decode.predictor import alone as compute
from elman.errors import DataError
from elman.runtime import Batcher
from elman.server.limits import MAX_TEXT, Bucket, Limits
from elman.server.live import Conversation
from elman.server.record import MemoryStore, Record
from elman.server.session import SLICE, Session


@pytest.fixture(scope="module")
def batcher(model):
    return Batcher(model)


def do(job):
    """What a job returns after all its turns."""
    while True:
        try:
            next(job)
        except StopIteration as done:
            return done.value


def told(session):
    """The suggestions of a session, each timestep computed by itself."""
    return compute(session.suggestions())


def say(session, keep, insert):
    return do(session.edit(session.number + 1, keep, insert))


edits = st.lists(st.tuples(st.floats(0, 1), st.text(st.sampled_from(LETTERS), max_size=90)))


@given(edits)
@settings(max_examples=60, deadline=None)
def test_any_edits_are_as_if_the_text_was_typed_at_once(model, batcher, steps):
    session, expected = Session("m", model, batcher), ""
    for part, insert in steps:
        keep = round(part * len(expected))
        expected = expected[:keep] + insert
        say(session, keep, insert)
    nats, suggested = alone(model, expected)
    assert session.text == expected
    assert session.record().nats == tuple(nats)
    assert offered(told(session)) == suggested
    # Kept and gone on with elsewhere, it is the same session.
    record = Record.from_fields(session.record().fields())
    again = Session.restored(record, model, batcher)
    assert again.record() == session.record()
    for each in (session, again):
        say(each, len(expected) // 2, "漢 x")
    assert again.record() == session.record()
    assert told(again) == told(session)


def test_going_back_reads_little_again(model, batcher):
    session = Session("m", model, batcher)
    say(session, 0, "a" * 15_000)
    assert len(session._marks) < 40
    for _ in range(50):  # letter by letter
        say(session, len(session.text), "b")
    assert len(session._marks) < 40
    for gone in (1, 10, 100, 1000, 10_000):
        end = len(session.text)
        place = max(place for place, _ in session._marks if place <= end - gone)
        assert end - gone - place <= max(SLICE, gone)
        say(session, end - gone, "")
    np.testing.assert_array_equal(session.record().nats, alone(model, session.text)[0])


def test_a_text_too_long_is_not_taken_and_waits_for_a_reset(model, batcher):
    session = Session("m", model, batcher)
    say(session, 0, "a" * (MAX_TEXT - 1))
    message = say(session, MAX_TEXT - 1, "bc")
    assert message["type"] == "error" and session.text == "a" * (MAX_TEXT - 1)
    assert say(session, 0, "b") == message
    assert Session.restored(session.record(), model, batcher)._full
    session.reset()
    say(session, 0, "b")
    assert session.text == "b"


def test_edits_of_another_text_are_refused(model, batcher):
    session = Session("m", model, batcher)
    say(session, 0, "abc")
    for number, keep in ((1, 0), (3, 0), (2, 4)):
        with pytest.raises(DataError):
            do(session.edit(number, keep, "x"))
    assert session.text == "abc"


def test_columns_follow_edits(model, batcher):
    session = Session("m", model, batcher)
    text = "".join(random.Random(3).choices(LETTERS, k=150))
    say(session, 0, text)
    session.watch(True)
    columns = []
    for keep, insert in ((150, ""), (70, "xyz"), (73, "漢"), (0, "ab")):
        say(session, keep, insert)
        while session.behind:
            message = do(session.columns())
            columns[message["from"] :] = message["columns"]
        stream, expected = model.stream(), []
        for letter in session.text:
            stream.feed(letter)
            expected.append(np.rint(127 * stream.hidden()).astype(int).tolist())
        assert columns == expected


def test_damaged_records_are_refused(model, batcher):
    session = Session("m", model, batcher)
    say(session, 0, "abc")
    record = session.record()
    fields = record.fields()
    for name in fields:
        for value in (b"", b"\xff", fields[name][:-1], fields[name] + b"\x00"):
            with pytest.raises(DataError):
                Session.restored(Record.from_fields(fields | {name: value}), model, batcher)
        with pytest.raises(DataError):
            Record.from_fields({key: value for key, value in fields.items() if key != name})
    with pytest.raises(DataError):
        Session.restored(replace(record, state=bytes(len(record.state))), model, batcher)


def test_what_comes_while_a_turn_waits_is_read_in_it(model, batcher):
    """Otherwise, where a turn waits long, all suggestions would be of a text that has changed."""
    service = SimpleNamespace(limits=Limits())
    conversation = Conversation(None, service)
    conversation._session = session = Session("m", model, batcher)

    def edit(number, letter):
        return "edit", {"number": number, "keep": number - 1, "insert": letter}, 0.0

    received = [edit(1, "a")]
    work = conversation._work(received)  # a job: nothing of it runs before its turn
    for number, letter in ((2, "b"), (3, "c")):
        run(conversation._inbox.put(edit(number, letter)))
    answers = compute(work)
    assert [(each["type"], each["number"]) for each in answers] == [
        *(("surprise", number) for number in (1, 2, 3)),
        ("suggestions", 3),
    ]
    assert session.text == "abc" and offered(answers[-1]) == alone(model, "abc")[1]
    assert len(received) == 3 and conversation._inbox.empty


def record(text):
    return Record("m", 1, text, (0.5,) * len(text), b"state", 3.0)


def run(step):
    """Run what needs no event loop to its end."""
    try:
        step.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def test_memory_keeps_for_a_time_and_so_many():
    now = [0.0]
    store = MemoryStore(10, 3, lambda: now[0])
    for name in "abcd":
        assert run(store.save(name, "me", record(name)))
    assert run(store.take("a", "you")) is None  # the oldest made way
    assert run(store.take("b", "me")) == record("b")
    now[0] = 9.0
    assert run(store.save("c", "me", record("cc")))
    now[0] = 11.0
    assert run(store.take("b", "me")) is None
    assert run(store.take("c", "me")) == record("cc")


def test_memory_has_one_owner():
    store = MemoryStore(10, 3, lambda: 0.0)
    assert run(store.save("a", "me", record("x")))
    assert run(store.take("a", "you")) == record("x")
    assert not run(store.save("a", "me", record("y")))
    run(store.remove("a", "me"))
    assert run(store.take("a", "you")) == record("x")
    run(store.remove("a", "you"))
    assert run(store.take("a", "you")) is None


def test_a_bucket_lets_through_its_rate():
    bucket = Bucket(10, 0.0)
    assert [bucket.take(0.0) for _ in range(20)] == [0.0] * 20
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.25) == 0.0
    assert bucket.take(0.25) == 0.0
    assert bucket.take(0.25) > 0
    assert [bucket.take(100.0) for _ in range(21)][19:] == [0.0, pytest.approx(0.1)]
