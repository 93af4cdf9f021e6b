"""The commands as a person runs them, on a small run."""

import json
import os
import re
import subprocess
import sys

import pytest

from elman.cli.main import run
from elman.encode.text import normalise


def test_run_folder_holds_what_the_design_says(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "config.toml",
        "tokens",
        "metrics.jsonl",
        "checkpoints",
        "last",
        "best",
        "plots",
    }
    assert (trained / "last").read_text().strip() == "step-000000204"
    assert (trained / "plots" / "loss.png").read_bytes().startswith(b"\x89PNG")
    names = {path.name for path in (trained / "best").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "README.md"}


def test_it_learned_the_words(elman, trained):
    answer = elman("complete", trained, "the quick bro", "--json")
    found = answer.json
    assert answer.code == 0
    assert found["typed"] == "the quick bro"
    assert found["completions"][0]["text"] == "brown"
    assert found["completions"][0]["probability"] > 0.5
    assert sum(each["probability"] for each in found["completions"]) <= 1 + 1e-6
    assert found["next_words"]


def test_completions_for_a_person(elman, trained):
    answer = elman("complete", trained, "the quick bro", "-n", 2)
    assert answer.out.startswith("completions:\n  brown")
    assert 'after "brown":' in answer.out
    assert re.search(r"\d\d\.\d\d%", answer.out)


def test_nothing_like_it(elman, trained):
    answer = elman("complete", trained, "ЖЖЖ")
    assert (answer.code, answer.err) == (0, "")
    assert "completions" not in answer.out


def test_standard_input_is_read_for_a_dash(trained, start):
    process = start("complete", trained, "-", "--json", stdin=subprocess.PIPE)
    out, err = process.communicate("the quick bro\n", timeout=60)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["typed"] == "the quick bro"


def test_the_same_seed_writes_the_same_text(elman, trained):
    first = elman("generate", trained, "--prompt", "the ", "--length", 60, "--seed", 3)
    again = elman("generate", trained, "--prompt", "the ", "--length", 60, "--seed", 3)
    other = elman("generate", trained, "--prompt", "the ", "--length", 60, "--seed", 4)
    assert first.code == 0
    assert first.out == again.out != other.out
    assert first.out.startswith("the ")
    assert len(first.out) == len("the ") + 60 + len("\n")


def test_generation_streams_and_a_closed_pipe_is_no_error(trained, start):
    process = start("generate", trained, "--length", 1_000_000)
    assert len(process.stdout.read(20)) == 20  # comes long before the million
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""


def test_evaluate_the_text_held_out(elman, trained, book, home):
    held_out = normalise(book.read_text())[int(12001 * 0.9) :]
    (home / "held_out.txt").write_text(held_out)
    by_run = elman("evaluate", trained, "--json", "--words", 20).json
    by_file = elman("evaluate", trained, home / "held_out.txt", "--json", "--words", 20).json
    assert by_run == by_file
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    best = min(row["validation_loss"] for row in rows if "validation_loss" in row)
    assert by_run["nats_per_character"] == pytest.approx(best, rel=1e-6)
    assert by_run["typing"]["words"] == 20


def test_evaluate_for_a_person(elman, trained):
    answer = elman("evaluate", trained, "--words", 10)
    for name in ("nats per character", "bits per character", "perplexity", "keystroke savings"):
        assert name in answer.out


def test_inspect(elman, trained):
    told = elman("inspect", trained, "--json").json
    shapes = told["shapes"]
    assert shapes["recurrent.weight_hh_l0"] == [96, 24]
    assert told["parameters"] == sum(
        size[0] * (size[1] if len(size) > 1 else 1) for size in shapes.values()
    )
    assert (told["task"], told["level"], told["spec"]["cell"]) == ("text", "character", "lstm")
    assert [row["step"] for row in told["history"]] == [68, 136, 204]
    shown = elman("inspect", trained).out
    assert "96 x 24" in shown
    assert "best" in shown


def test_the_same_command_again_finds_it_finished(elman, trained, book, small):
    before = (trained / "best" / "model.safetensors").read_bytes()
    answer = elman("train", "text", book, "--out", trained, *small, "--json")
    assert answer.code == 0
    assert "finished already" in answer.err
    assert answer.json["steps"] == 204
    assert (trained / "best" / "model.safetensors").read_bytes() == before


def test_a_runs_configuration_reproduces_it(elman, trained, home):
    answer = elman("train", "text", "--config", trained / "config.toml", "--out", "again")
    assert answer.code == 0, answer.err
    weights = "best/model.safetensors"
    assert (home / "again" / weights).read_bytes() == (trained / weights).read_bytes()


def test_dry_run_keeps_nothing(elman, home, book, small):
    answer = elman("train", "text", book, "--out", "run", *small, "--dry-run", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["steps"] == 204
    assert 0 < answer.json["validation_loss"] < 10
    assert list(home.iterdir()) == []


def test_learning_without_a_file(elman, home):
    """The documentation that Python carries, one batch of it."""
    answer = elman("train", "text", "--dry-run", "--json", "--hidden", 8)
    assert answer.code == 0, answer.err
    assert answer.json["training_loss"] == pytest.approx(4.6, abs=0.5)  # ln of about 100


def test_standard_input_and_folders_give_the_same_run(home, book, start, small):
    (home / "folder" / "inner").mkdir(parents=True)
    (home / "folder" / "inner" / "book.txt").write_bytes(book.read_bytes())
    (home / "folder" / "notes.bin").write_bytes(b"\xff\xfe")
    piped = start("train", "text", "-", "--out", "piped", *small, stdin=subprocess.PIPE)
    _, err = piped.communicate(book.read_text(), timeout=120)
    assert piped.returncode == 0, err
    assert run(["train", "text", "folder", "--out", "folded", *map(str, small)]) == 0
    weights = "best/model.safetensors"
    assert (home / "piped" / weights).read_bytes() == (home / "folded" / weights).read_bytes()


def test_early_stopping_keeps_the_best(elman, home, book, small):
    options = ("--evaluate-every", 4, "--patience", 2, "--lr", 0.5, "--schedule", "constant")
    answer = elman("train", "text", book, "--out", "run", *small, *options, "--json")
    assert answer.code == 0, answer.err
    history = elman("inspect", "run", "--json").json["history"]
    losses = [row["validation_loss"] for row in history]
    assert answer.json["steps"] < 204
    assert answer.json["validation_loss"] == min(losses) == losses[-3]
    scored = elman("evaluate", "run", "--json", "--words", 5).json["nats_per_character"]
    assert scored == pytest.approx(min(losses), rel=1e-6)


def test_doctor(elman):
    told = elman("doctor", "--json").json
    assert told["packages"]["numpy"]
    assert told["processors"] >= 1
    assert "accelerator" in elman("doctor").out


@pytest.mark.parametrize(
    "command",
    [(), ("train",), ("train", "text"), ("complete",), ("generate",), ("evaluate",), ("inspect",),
     ("doctor",)],
    ids=lambda command: " ".join(command) or "elman",
)  # fmt: skip
def test_help(elman, command):
    answer = elman(*command, "--help")
    assert (answer.code, answer.err) == (0, "")
    if command and command != ("train",):
        assert "Example" in answer.out
        assert f"elman {' '.join(command)}" in answer.out


def test_version(elman):
    assert re.fullmatch(r"elman \d+\.\d+\.\d+\n", elman("--version").out)


@pytest.mark.commands
@pytest.mark.parametrize(
    ("words", "place", "offered"),
    [("elman com", 1, "complete"), ("elman train text --drop", 3, "--dropout")],
)
def test_shell_completion(words, place, offered):
    """Ask as the shell does when the tabulator key is pressed."""
    question = {"COMP_WORDS": words, "COMP_CWORD": str(place), "_ELMAN_COMPLETE": "complete_bash"}
    answer = subprocess.run(
        [sys.executable, "-c", "from elman.cli.main import main; main()"],
        env=os.environ | question, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert answer.stdout.split() == [offered], answer.stderr
