"""Spoiled model folders, loaded by the runtime in a process of its own that is watched."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman import modelfile
from elman.errors import ElmanError
from elman.modelfile.text import TextModelSpec
from elman.runtime import load

FUZZ = Path(__file__).with_name("fuzz_models.py")
ROOM = 64 << 20


def fuzz(seed: int, count: int) -> dict[str, int]:
    command = [sys.executable, "-W", "error", "-X", "faulthandler", str(FUZZ)]
    done = subprocess.run([*command, str(seed), str(count)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    assert found["refused"] + found["loaded"] == count
    assert found["most"] < ROOM
    return found


@pytest.mark.commands
@pytest.mark.timeout(600)
def test_spoiled_folders_give_a_model_or_one_line() -> None:
    found = fuzz(1, 2000)
    assert found["refused"] > 1000 and found["loaded"] > 20


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_spoiled_folders() -> None:
    for seed in range(2, 12):
        fuzz(seed, 10_000)


SMALL = TextModelSpec(hidden=3, embedding=2)


def write(folder: Path, spec: object = None, tokenizer: object = None) -> Path:
    draw = np.random.default_rng(1)
    tensors = {n: draw.uniform(-1, 1, s) for n, s in SMALL.tensor_shapes(4).items()}
    known = tokenizer or {"level": "character", "characters": "abc"}
    parts = {"tensors": tensors, "tokenizer": known, "readme": ""}
    modelfile.write(folder, task="text", spec=spec or SMALL.to_json(), **parts)
    return folder


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(list(SMALL.to_json())), value=anything)
def test_any_value_in_a_spec(tmp_path_factory, name, value) -> None:
    spec = SMALL.to_json() | {name: value}
    _loads_or_says_why(tmp_path_factory, spec, None)


@settings(max_examples=200, deadline=None)
@given(tokenizer=st.dictionaries(st.sampled_from(["level", "characters", "words"]), anything))
def test_any_tokenizer(tmp_path_factory, tokenizer) -> None:
    _loads_or_says_why(tmp_path_factory, None, tokenizer)


def _loads_or_says_why(tmp_path_factory, spec, tokenizer) -> None:
    folder = tmp_path_factory.mktemp("any") / "model"
    try:
        write(folder, spec, tokenizer)
        load(folder).stream().suggest()
    except ElmanError as error:
        assert str(error).isprintable()


CLAIMS = {
    "hidden": {"hidden": 65536, "layers": 64},
    "embedding": {"embedding": 65536},
    "tied": {"tie": True, "hidden": 65536, "embedding": 0},
}
# The most of this very process: ru_maxrss would begin with what the process that starts it has.
WATCHED = """
import re, sys
from pathlib import Path
import elman.runtime
from elman.errors import ElmanError
def most():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
before = most()
try:
    elman.runtime.load(sys.argv[1])
    print("[loaded]")
except ElmanError as error:
    print(error)
print(most() - before)
"""


def growth(folder: Path) -> tuple[str, int]:
    """What loading it says, and the bytes it takes beyond the folder's files."""
    command = [sys.executable, "-c", WATCHED, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    line, kilobytes = done.stdout.splitlines()
    assert line.startswith("[")
    return line, int(kilobytes) * 1024 - sum(each.stat().st_size for each in folder.iterdir())


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux_only
@pytest.mark.commands
@pytest.mark.parametrize("claim", [*CLAIMS, "shape", "large file"])
def test_claims_take_no_memory(tmp_path, claim) -> None:
    """A kilobyte that speaks of terabytes; 200 MB in which one name is wrong, read once."""
    folder = write(tmp_path / "model", SMALL.to_json() | CLAIMS.get(claim, {}))
    path = folder / "model.safetensors"
    if claim == "shape":
        path.write_bytes(path.read_bytes().replace(b"[4,2]", b"[999999999,2]"))
    if claim == "large file":
        large = {"w": np.zeros((50_000_000,), "f4")}
        modelfile.write(
            folder,
            task="text",
            spec=SMALL.to_json(),
            tensors=large,
            tokenizer={"level": "byte"},
            readme="",
        )
    line, grown = growth(folder)
    assert line != "[loaded]"
    assert grown < ROOM


IDEOGRAPHS = [chr(code) for code in range(0x4E00, 0x4E00 + 300)]
EMOJI = "\U0001f600"  # one of them, and the whole text has four bytes a character
TOKENIZERS = {
    "words": {"level": "word", "words": [f"{i:09x}" for i in range(159_998)] + [EMOJI]},
    "a word too many": {"level": "word", "words": [f"{i:x}" for i in range(160_000)]},
    "characters": {"level": "character", "characters": "".join(map(chr, range(57344, 217_343)))},
    "merges": {
        "level": "bpe",
        "alphabet": "".join(IDEOGRAPHS),
        "merges": [[a, b] for a in IDEOGRAPHS for b in IDEOGRAPHS][:59_999],
    },
    "long merges": {
        "level": "bpe",
        "alphabet": "a",
        "merges": [["a" * i, "a" * j] for i in range(1, 513) for j in range(1, i + 1)][:8_000],
    },
    "lists": {"level": "word", "words": [[]] * 124_000},
    "objects": {"level": "word", "words": [{"": 0}] * 62_000},
    "numbers": {"level": "word", "words": [1.5] * 249_000},
    "lists too many": {"level": "word", "words": [[]] * 1_500_000},
    "one word": {"level": "word", "words": ["a" * 5_200_000 + EMOJI]},
    "half a pair": {"level": "word", "words": [[]] * 124_000 + ["a" * 4_500_000 + "\ud800"]},
    "too large": {"level": "word", "words": ["a" * 5_300_000]},
}


@linux_only
@pytest.mark.commands
@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_no_tokenizer_takes_much_memory(tmp_path, tokenizer) -> None:
    """The largest that are allowed, and what is refused while it is read, or before."""
    folder = write(tmp_path / "model")
    text = json.dumps(tokenizer, ensure_ascii=EMOJI not in str(tokenizer))
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    _, grown = growth(folder)
    assert grown < ROOM


@linux_only
@pytest.mark.commands
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nor_does_a_model_of_the_most_words(tmp_path, dtype) -> None:
    """It is loaded, with what its rows need to be computed."""
    spec = TextModelSpec(hidden=1, embedding=1)
    draw = np.random.default_rng(1)
    modelfile.write(
        tmp_path / "model",
        task="text",
        spec=spec.to_json(),
        tensors={
            name: draw.uniform(-1, 1, shape).astype(dtype)
            for name, shape in spec.tensor_shapes(160_000).items()
        },
        tokenizer={"level": "word", "words": [f"{i:x}" for i in range(159_999)]},
        readme="",
    )
    line, grown = growth(tmp_path / "model")
    assert line == "[loaded]"
    assert grown < ROOM
