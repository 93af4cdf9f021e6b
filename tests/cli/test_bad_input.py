"""Whatever a person gives: one line that names the culprit and the remedy, and nothing lost."""

import hashlib
import json
import shutil

import pytest


def refused(answer, code, *words):
    """The command ended with ``code`` and said one line that holds all ``words``."""
    lines = answer.err.strip().splitlines()
    assert answer.code == code, answer.err
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("[")
    for word in words:
        assert word in lines[0]
    assert answer.out == ""


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_missing_file(elman, home):
    refused(elman("train", "text", "nothing.txt"), 74, "nothing.txt", "check the path")
    assert list(home.iterdir()) == []


def test_empty_file(elman, home):
    (home / "empty.txt").write_bytes(b"")
    refused(elman("train", "text", "empty.txt"), 4, "empty.txt", "an empty file", "another file")


def test_blank_file(elman, home):
    (home / "blank.txt").write_bytes(b" \n\t\n")
    refused(elman("train", "text", "blank.txt"), 4, "blank.txt", "white space only")


def test_folder_without_text(elman, home):
    (home / "pictures").mkdir()
    (home / "pictures" / "cat.png").write_bytes(b"\x89PNG")
    refused(elman("train", "text", "pictures"), 4, "pictures", ".txt", "found none")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"caf\xe9 au lait", ("byte 0xe9 at offset 3", "iconv")),
        ("Příliš".encode("utf-16"), ("byte 0xff at offset 0", "UTF-16")),
        (b"cut short \xe2\x82", ("byte 0xe2 at offset 10",)),
    ],
    ids=["latin-1", "utf-16", "half-a-character"],
)
def test_not_utf8(elman, home, content, found):
    (home / "old.txt").write_bytes(content)
    refused(elman("train", "text", "old.txt"), 4, "old.txt", "UTF-8", *found)


def test_byte_order_mark_offset_counts_from_the_start_of_the_file(elman, home):
    (home / "mark.txt").write_bytes(b"\xef\xbb\xbfab\xff")
    refused(elman("train", "text", "mark.txt"), 4, "byte 0xff at offset 5")


def test_corpus_shorter_than_a_window(elman, home):
    (home / "short.txt").write_text("to be or not to be\n" * 3)
    refused(
        elman("train", "text", "short.txt", "--out", "run"),
        4,
        "batch * window + 1 = 2049",
        "--batch or --window",
    )
    # What the refused attempt left must not stand in the way of the remedy.
    answer = elman(
        "train", "text", "short.txt", "--out", "run", "--batch", 2, "--window", 5, "--epochs", 1,
        "--hidden", 4,
    )  # fmt: skip
    assert answer.code == 0, answer.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cell", "ltsm"), ("cell", "'ltsm'", "did you mean lstm?")),
        (("--level", "charcter"), ("level", "'charcter'", "did you mean character?")),
        (("--optimiser", "adam"), ("'adam'", "did you mean adamw?")),
        (("--schedule", "cosin"), ("'cosin'", "did you mean cosine?")),
        (("--device", "gpu"), ("device", "auto, cpu, cuda", "'gpu'")),
        (("--hiden", 3), ("--hiden", "--hidden")),
        (("--hidden", 0), ("hidden", "found 0")),
        (("--hidden", "many"), ("--hidden", "valid integer")),
        (("--lr", "nan"), ("lr", "found nan")),
        (("--dropout", 1.5), ("dropout", "1.5")),
        (("--epochs", -1), ("epochs", "-1")),
        (("--seed", -1), ("seed", "-1")),
        (("--tie", "--hidden", 64, "--embedding", 32), ("tie", "embedding", "32")),
        (("--level", "character", "--vocabulary", 10), ("vocabulary",)),
    ],
    ids=lambda value: "-".join(map(str, value)).strip("-") if isinstance(value, tuple) else None,
)
def test_unknown_or_impossible_option(elman, home, book, options, words):
    refused(elman("train", "text", book, "--out", "run", *options), 2, *words)


def test_unknown_command(elman, home):
    refused(elman("trian"), 2, "trian", "train")


def test_configuration_file(elman, home, book):
    (home / "typo.toml").write_text("[model]\nhiden = 5\n")
    refused(elman("train", "text", book, "--config", "typo.toml"), 2, "'hiden'", "'hidden'")
    (home / "kind.toml").write_text('hidden = "wide"\n')
    refused(elman("train", "text", book, "--config", "kind.toml"), 2, "hidden", "int", "'wide'")
    (home / "broken.toml").write_text("hidden = = 5\n")
    refused(elman("train", "text", book, "--config", "broken.toml"), 2, "broken.toml", "line 1")
    refused(elman("train", "text", book, "--config", "none.toml"), 74, "none.toml")


def test_run_with_another_configuration(elman, trained, book, small):
    before = digest(trained)
    answer = elman("train", "text", book, "--out", trained, *small, "--hidden", 25, "--seed", 2)
    refused(answer, 2, "hidden: 24 -> 25", "seed: 1 -> 2", "another --out")
    assert digest(trained) == before


def test_run_with_another_text(elman, trained, book, small, home):
    (home / "other.txt").write_text(book.read_text().replace("fox", "cat"))
    answer = elman("train", "text", "other.txt", "--out", trained, *small)
    refused(answer, 2, "digest: ")


def test_folder_of_something_else(elman, home, book):
    (home / "letters").mkdir()
    (home / "letters" / "mother.txt").write_text("dear")
    answer = elman("train", "text", book, "--out", "letters")
    refused(answer, 2, "letters", "mother.txt", "another --out")
    assert (home / "letters" / "mother.txt").read_text() == "dear"


DAMAGES = {
    "absent": ("there is none", "check the path"),
    "empty": ("config.json is missing",),
    "foreign": ("belongs to another program",),
    "cut weights": ("model.safetensors", "copy the model again"),
    "nan": ("must be finite",),
    "other weights": ("another spec",),
    "no tokenizer": ("tokenizer.json",),
}
SEEN_BY_ALL = ("absent", "empty", "foreign", "cut weights", "nan")


@pytest.mark.parametrize(
    ("command", "damage"),
    [
        *(
            (command, damage)
            for command in ("complete", "generate", "evaluate")
            for damage in DAMAGES
        ),
        *(("inspect", damage) for damage in SEEN_BY_ALL),
    ],
)
def test_unusable_model(elman, home, trained, command, damage):
    model = home / "model"
    if damage != "absent":
        shutil.copytree(trained / "best", model)
    weights = model / "model.safetensors"
    if damage == "empty":
        shutil.rmtree(model)
        model.mkdir()
    elif damage == "foreign":
        (model / "config.json").write_text('{"model_type": "llama"}')
    elif damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "other weights":
        config = json.loads((model / "config.json").read_text())
        config["spec"]["hidden"] = 23
        (model / "config.json").write_text(json.dumps(config))
    elif damage == "no tokenizer":
        (model / "tokenizer.json").unlink()
    elif damage == "nan":
        weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\xc0\x7f")
    rest = {"complete": ["the qu"], "evaluate": [home / "some.txt"]}.get(command, [])
    (home / "some.txt").write_text("the quick brown fox\n")
    refused(elman(command, "model", *rest), 5, "model", *DAMAGES[damage])


def test_run_without_a_model_yet(elman, home):
    (home / "run").mkdir()
    (home / "run" / "config.toml").write_text("")
    refused(elman("complete", "run", "a"), 5, "run", "first evaluation")


def test_held_out_text_of_a_bare_model(elman, trained):
    refused(elman("evaluate", trained / "best"), 5, "name a FILE")


def test_diverging_keeps_the_last_good_checkpoint(elman, home, book, small):
    options = ("--out", "run", *small)
    assert elman("train", "text", book, *options, "--epochs", 2).code == 0
    shutil.rmtree(home / "run" / "best")
    diverging = ("--optimiser", "sgd", "--lr", 1e6, "--clip", 0, "--weight-decay", 1e3)
    answer = elman("train", "text", book, "--out", "wild", *small, *diverging)
    assert answer.code == 3
    last = answer.err.strip().splitlines()[-1]
    assert last.startswith("[train] the loss must be finite, found ")
    assert "lower --lr or --clip" in last
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("out", ["book.txt/run", "/proc/elman-run"])
def test_output_that_cannot_be_made(elman, home, book, out):
    shutil.copy(book, home / "book.txt")
    refused(elman("train", "text", "book.txt", "--out", out), 74, out.split("/run")[0])


def test_prompt_that_is_not_unicode(elman, trained):
    refused(elman("complete", trained, "caf\udce9"), 4, "surrogate")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--temperature", -1), "temperature"),
        (("--top-p", 0), "top_p"),
        (("--top-k", -1), "top_k"),
        (("--length", 10**9), "--length"),
    ],
    ids=["temperature", "top-p", "top-k", "length"],
)
def test_generate_out_of_bounds(elman, trained, options, word):
    refused(elman("generate", trained, *options), 2, word)
