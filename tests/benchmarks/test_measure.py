"""A wrong result is refused; the turns are fair."""

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import measure
from benchmarks.measure import Contestant, accept, compare, difference, take_turns

EXPECTED = {"outputs": np.array([[0.5, -2.0]]), "d x": np.array([1e-3])}


def contestant(name="one", calls=None, **changed):
    found = {**EXPECTED, **changed}
    found = {key: value for key, value in found.items() if value is not None}

    def run():
        if calls is not None:
            calls.append(name)

    return Contestant(name, run, lambda: found, lambda: EXPECTED)


def test_difference_is_relative_to_the_largest_value_of_the_array():
    assert difference(EXPECTED, EXPECTED) == (0.0, "")
    outputs = EXPECTED["outputs"] + np.array([[4e-3, 0.0]])
    assert difference({**EXPECTED, "outputs": outputs}, EXPECTED) == (
        pytest.approx(2e-3),
        "outputs",
    )
    worst = {"outputs": outputs, "d x": np.array([1.1e-3])}
    assert difference(worst, EXPECTED) == (pytest.approx(0.1), "d x")


WRONG = {
    "by 1e-3 in the outputs": {"outputs": EXPECTED["outputs"] * (1 + 1e-3)},
    "by 1e-3 in a gradient": {"d x": EXPECTED["d x"] * (1 - 1e-3)},
    "nan": {"d x": np.array([np.nan])},
    "infinite": {"outputs": np.array([[0.5, -np.inf]])},
    "one gradient too few": {"d x": None},
    "another name": {"d y": np.array([1.0])},
    "another shape": {"outputs": EXPECTED["outputs"][0]},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_who_lies_gets_no_figure(changed):
    calls = []
    pair = [contestant("honest", calls), contestant("liar", calls, **changed)]
    row = compare("lstm", "1,1,1,1", pair, 0.01)
    assert list(row.figures) == ["honest"]
    assert list(row.refused) == ["liar"]
    assert "liar" not in calls


def test_what_rounding_costs_is_accepted():
    accepted, refused = accept([contestant(outputs=EXPECTED["outputs"] * (1 + 2e-6))])
    assert refused == {}
    assert accepted["one"][1] == pytest.approx(2e-6)


def test_a_refusal_says_where_and_how_much():
    _, refused = accept([contestant(**WRONG["by 1e-3 in the outputs"])])
    assert refused == {"one": "differs by 1.0e-03 in outputs, allowed 1e-05"}


@pytest.mark.parametrize("lies, code", [({}, 0), (WRONG["by 1e-3 in a gradient"], 1)])
def test_the_exit_code_tells(lies, code, tmp_path, monkeypatch, capsys):
    def rows(settings):
        yield compare("lstm", "1,1,1,1", [contestant("elman", **lies)], 0.01)

    monkeypatch.setattr(command, "suite", lambda name: rows)
    monkeypatch.setattr(command.jax_peer, "limit_threads", lambda threads: None)
    monkeypatch.setattr(command.torch, "set_num_threads", lambda threads: None)
    assert command.main(["training", "--results", str(tmp_path)]) == code
    assert (tmp_path / "training.json").exists()
    assert ("refused, not the reference's result" in capsys.readouterr().out) == bool(code)


def test_turns_alternate_and_each_has_its_rounds(monkeypatch):
    clock = [0.0]
    calls = []

    def run(name, seconds):
        def call():
            calls.append(name)
            clock[0] += seconds

        return call

    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(measure.time, "sleep", lambda seconds: None)
    runs = {"a": run("a", 0.25), "b": run("b", 0.5), "slow": run("slow", 5.0)}
    times = take_turns(runs, 6.0)
    assert times["a"] == pytest.approx([0.25] * 8)
    assert times["b"] == pytest.approx([0.5] * 5)
    assert times["slow"] == pytest.approx([5.0])  # one call takes more than its share of 2 s
    assert calls[:9] == ["a", "b", "slow", "a", "b", "b", "a", "a", "b"]


def test_short_calls_are_repeated_after_a_warm_one(monkeypatch):
    clock, calls = [0.0], []

    def call():
        calls.append(clock[0])
        clock[0] += 0.005

    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(measure.time, "sleep", lambda seconds: None)
    assert take_turns({"short": call}, 0.05)["short"] == pytest.approx([0.005] * 5)
    # Four to know how long one is; then turns of 0.02 s, and 0.02 s before each.
    assert len(calls) == 4 + 5 * (4 + 4)


def test_how_often_a_call_fits_a_turn_is_not_what_the_first_says(monkeypatch):
    clock, calls = [0.0], []

    def call():
        clock[0] += 1 / 256 if calls else 1 / 8
        calls.append(clock[0])

    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(measure.time, "sleep", lambda seconds: None)
    take_turns({"cold": call}, 0.05)
    assert len(calls) == 4 + 5 * (5 + 5)  # five of them fill 0.02 s
