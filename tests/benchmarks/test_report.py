"""What is printed and put on the page, from results made by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import chart, page, report
from benchmarks.record import RESULTS, read, read_all, write
from benchmarks.suites import NAMES
from benchmarks.targets import TARGETS, ratio


def test_a_case_stands_in_one_line(training):
    header, first, *_ = report.table(training)
    assert header == ["case", "elman", "torch.nn", "sgemm GFLOP/s"]
    # 3 * 2 * 64 * 32 * 128 * (64 + 128) = 301,989,888 in 1 ms and in 3 ms
    assert first == [
        "RNN 64,32,64,128",
        "1 ms, 302 GFLOP/s (0.30)",
        "3 ms, 101 GFLOP/s (0.10), 3.00x",
        "1000",
    ]


def test_what_has_no_figure_is_named(training, inference):
    assert list(report.notes(training)) == ["jax is absent: jax not installed"]
    assert list(report.notes(inference)) == [
        "refused, not the reference's result: RNN 64,32,64,128, "
        "jax differs by 1.0e-03 in outputs, allowed 1e-05"
    ]
    assert report.table(inference)[1][-1] == "refused"
    assert report.table(training)[0].count("jax") == 0


def test_a_disturbed_case_is_named(training):
    calm, scattered, slow, *others = training.rows
    figures = {**scattered.figures, "jax": replace(scattered.figures["elman"], high=2e-3)}
    rows = [calm, replace(scattered, figures=figures), replace(slow, sgemm=5e11), *others]
    _, note = report.notes(replace(training, rows=rows))
    assert note == "disturbed, measure again: GRU 64,32,64,128; LSTM 64,32,64,128"


def test_targets_stand_beside_what_was_found(training, inference):
    found = {line[0]: line[2:] for line in report.verdicts(training)[1:]}
    assert found["torch.nn, worst case"] == ["3.00", "met"]
    assert found["torch.nn, geometric mean"] == ["3.00", "met"]
    assert found["torch.nn, GRU and RNN at 1024,1,128,128, worst"] == ["3.00", "missed"]
    # the RNN at 128,64,256,256: 6.44 GFLOP in 1 ms, of 1 TFLOP/s
    assert found["fraction of sgemm at 128,64,256,256 and 64,64,512,512, worst"] == ["6.44", "met"]
    found = {line[0]: line[2:] for line in report.verdicts(inference)[1:]}
    assert found["the fastest peer, worst case"] == ["1.00", "met"]


def test_a_target_is_not_met_by_half_of_its_cases(training):
    rows = [replace(training.rows[0], figures={}, refused={"elman": "wrong"}), *training.rows[1:]]
    lines = report.verdicts(replace(training, rows=rows))[1:]
    assert [line[2:] for line in lines[:2]] == [["not measured", ""]] * 2
    assert all(
        line[2:] == ["not measured", ""] for line in report.verdicts(replace(training, rows=[]))[1:]
    )


def test_at_most_is_met_from_below(row):
    (target,) = TARGETS["trajectory"]
    assert target.met([row(elman_trajectory=1.09, elman_forward=1.0)])
    assert not target.met([row(elman_trajectory=1.11, elman_forward=1.0)])
    assert not target.met([])


def test_the_fastest_peer_counts(row):
    found = row(elman=1.0, jax=3.0, onnxruntime=2.0)
    assert ratio(found, ("torch.nn", "onnxruntime", "jax"), ("elman",)) == 2.0
    assert ratio(found, ("torch.nn",), ("elman",)) is None


@pytest.mark.parametrize(
    "value, unit, shown",
    [
        (1.5, "s", "1.5 s"),
        (0.01234, "s", "12.3 ms"),
        (4.56e-7, "s", "0.456 µs"),
        (3 << 19, "byte", "1.50 MiB"),
    ],
)
def test_amounts(value, unit, shown):
    assert report.amount(value, unit) == shown


def test_results_are_read_as_they_were_written(training, inference, tmp_path):
    assert read(write(training, tmp_path)) == training
    write(inference, tmp_path)
    assert read_all(tmp_path, NAMES) == [training, inference]


def test_the_chart_is_the_same_from_the_same_figures(training, inference, tmp_path):
    results = [training, inference]
    first, again = tmp_path / "a.svg", tmp_path / "b.svg"
    chart.draw(results, first)
    chart.draw(results, again)
    assert first.read_bytes() == again.read_bytes()
    assert chart.digest(results) in first.read_text()
    assert chart.bars(results)[0] == ("training 64 · 32 · 64 · 128", pytest.approx(3.0))
    chart.draw([], first)
    assert not first.exists()


def test_the_page_is_written_around_by_hand(training, tmp_path):
    path = tmp_path / "performance.md"
    path.write_text(f"# Before\n{page.BEGIN}old\n{page.END}after\n")
    write(training, tmp_path / "results")
    page.update(tmp_path, tmp_path / "results")
    text = path.read_text()
    assert text.startswith("# Before\n") and text.endswith("after\n") and "old" not in text
    assert page.render([training]) in text
    assert "| RNN 64,32,64,128 | 1 ms, 302 GFLOP/s (0.30) |" in text
    assert "commit 0123456789ab with changes, 2026-11-21 12:00 UTC" in text
    page.update(tmp_path, tmp_path / "results")
    assert path.read_text() == text


def test_the_page_is_that_of_the_results():
    results = read_all(RESULTS, NAMES)
    _, block, _ = page.split((page.DOCS / "performance.md").read_text(encoding="utf-8"))
    assert block == f"\n{page.render(results)}\n", "run: python -m benchmarks.page"
    drawn = page.DOCS / chart.NAME
    assert drawn.exists() == bool(chart.bars(results))
    if chart.bars(results):
        assert chart.digest(results) in drawn.read_text()


def test_every_result_belongs_to_a_suite():
    assert {Path(path).stem for path in RESULTS.glob("*")} <= set(NAMES)
    assert set(TARGETS) == set(NAMES)
