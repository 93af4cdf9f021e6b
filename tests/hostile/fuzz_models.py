"""Spoils model folders and loads them: `fuzz_models.py SEED COUNT`; a line of JSON at the end.

Whatever is found in a folder, loading gives a model or one line, takes no more memory than the
folder's files and 64 MiB, and what was loaded runs.
"""

import json
import random
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

from elman import modelfile
from elman.encode.text import build
from elman.errors import ElmanError
from elman.modelfile.stack import Dense, Embedding, Recurrent, StackSpec
from elman.modelfile.text import TextModelSpec
from elman.runtime import TextModel, load
from elman.spec import LayerSpec

ROOM = 64 << 20
NAMES = ("config.json", "model.safetensors", "tokenizer.json", "README.md")
NUMBERS = (0, -1, 1, 2, 3, 255, 65536, 2**31, 2**53, 2**64, 10**30, 0.5, -0.0, 1e308, True, None)
VALUES = (*NUMBERS, "", "lstm", "gru", "dense", "a\nb", "\u0000", [], {}, [1], [[1, 2]], {"a": 1})


def sound(folder: Path) -> list[Path]:
    """Folders of every kind, from which the others are made."""
    text = "the cat sat on the mat.\n"
    made = []
    for number, level in enumerate(("byte", "character", "word", "bpe")):
        spec = TextModelSpec(
            cell=("lstm", "gru", "elman", "lstm")[number],
            hidden=6,
            embedding=0 if number == 1 else 4,
            tie=number == 1,
            layer_norm=number == 2,
        )
        known = build(level, [text], size=None if number < 2 else 24, min_count=1)
        parts = {"spec": spec.to_json(), "tokenizer": known.to_json(), "task": "text"}
        made.append(_write(folder / level, spec.tensor_shapes(len(known)), parts, number))
    layers = (
        Recurrent(LayerSpec("elman", 5, 4, order=2, learn_initial_state=True), (0.1,)),
        Dense(4, 5, True),
        Recurrent(LayerSpec("lstm", 5, 5, proj_size=2, peephole=True, layer_norm=True), (0.0, 0.2)),
        Dense(2, 3, False),
    )
    stack = StackSpec(Embedding(7, 5), layers)
    parts = {"spec": stack.to_json(), "tokenizer": None, "task": "stack"}
    made.append(_write(folder / "stack", stack.tensor_shapes(), parts, 1))
    return made


def _write(folder: Path, shapes: dict[str, tuple[int, ...]], parts: Any, number: int) -> Path:
    draw = np.random.default_rng(number)
    tensors = {name: draw.uniform(-0.5, 0.5, shape).astype("f4") for name, shape in shapes.items()}
    weights = ("float32", "int8", "bfloat16")[number % 3]
    modelfile.write(folder, tensors=tensors, readme="# A model\n", weights=weights, **parts)
    return folder


def spoil(files: dict[str, bytes], draw: random.Random) -> dict[str, bytes]:
    """One to three changes."""
    files = dict(files)
    for _ in range(draw.randint(1, 3)):
        name = draw.choice([*files, "config.json"])
        if name not in files:
            continue
        kind = draw.randrange(7)
        if kind == 0:
            files[name] = _bytes(files[name], draw)
        elif kind == 1:
            files[name] = files[name][: draw.randint(0, len(files[name]))]
        elif kind == 2 and len(files) > 1:
            del files[name]
        elif kind == 3:
            files[name] = draw.choice([*files.values()])
        elif name.endswith(".json"):
            files[name] = _json(files[name], draw)
        elif name == "model.safetensors":
            files[name] = _header(files[name], draw)
    return files


def _bytes(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _header(data: bytes, draw: random.Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    header = _json(data[8 : 8 + size], draw)
    told = draw.choice([len(header)] * 8 + [0, 2**20 + 1, 2**63, len(header) + 1])
    return told.to_bytes(8, "little") + header + data[8 + size :]


def _json(data: bytes, draw: random.Random) -> bytes:
    """JSON with a member replaced, removed, added or doubled."""
    try:
        value = json.loads(data)
    except ValueError:
        return data
    places = list(_places(value))
    if not places:
        return data
    holder, key = draw.choice(places)
    kind = draw.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[draw.choice(("x", "weight", "tie", "layers", "dtype"))] = draw.choice(VALUES)
    elif kind == 2 and isinstance(holder, list):
        holder.insert(0, holder[key])
    else:
        holder[key] = draw.choice(VALUES)
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def attempt(folder: Path) -> str:
    """Load and run: what became of it."""
    try:
        model = load(folder)
    except ElmanError as error:
        line = str(error)
        assert line.isprintable() and len(line) < 1500, line
        return "refused"
    if isinstance(model, TextModel):
        stream = model.stream()
        stream.feed("the c")
        stream.suggest(1)
    else:
        assert np.isfinite(model.rows.start).all()
        model.stream(2).timestep(np.zeros(2, "int64"))
    return "loaded"


def main(seed: int, count: int) -> None:
    """Prints how many were refused and loaded, and the most memory beyond the files' size."""
    draw = random.Random(seed)
    found = {"refused": 0, "loaded": 0, "most": 0}
    with tempfile.TemporaryDirectory() as place:
        begun = [
            {name: (folder / name).read_bytes() for name in NAMES if (folder / name).exists()}
            for folder in sound(Path(place))
        ]
        for files in begun:  # caches are filled, imports done
            found[_one(Path(place) / "spoiled", files)[0]] += 0
        tracemalloc.start()
        for number in range(count):
            files = spoil(draw.choice(begun), draw)
            try:
                result, most = _one(Path(place) / "spoiled", files)
            except BaseException:
                print(f"seed {seed}, number {number}: {files}", file=sys.stderr)
                raise
            found[result] += 1
            found["most"] = max(found["most"], most)
    print(json.dumps(found))


def _one(folder: Path, files: dict[str, bytes]) -> tuple[str, int]:
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    size = sum(map(len, files.values()))
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
    result = attempt(folder)
    if not tracemalloc.is_tracing():
        return result, 0
    most = tracemalloc.get_traced_memory()[1] - before - size
    assert most < ROOM, f"{most} bytes beyond the files' {size}"
    return result, most


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
