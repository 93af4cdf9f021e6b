"""Calls the native core with arguments that are nearly right: ``fuzz_core.py SEED CALLS``.

Every call starts as a valid one, of which some arguments are then spoiled. It must return or raise
a plain exception, and must not write outside of the arrays it was given. Prints how many calls
ended how; a signal or a hang is for the caller to see.
"""

import random
import sys
from collections import Counter
from typing import Any

import numpy as np

from elman import _core

Array = np.ndarray[Any, Any]
Arrays = dict[str, Any]
ALLOWED = (ValueError, TypeError, MemoryError, OverflowError)
GUARD = 64  # elements before and behind each array
CELLS = {"elman": 1, "gru": 3, "lstm": 4}
STRANGE: list[Any] = [
    None, "", "h", "\ud800", b"x", -1, 0, 2**31, 2**40, 2**63, 2**64, -(2**63), 1.5, True, [],
    {}, (), object(), int, np.float32(1), np.zeros(0, np.float32), np.zeros((), np.float32),
]  # fmt: skip


class Memory:
    """Arrays that lie in larger ones, whose rest must stay as it is."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.all = chance, []
        self.numbers = np.random.default_rng(chance.getrandbits(32))

    def array(self, size: int, dtype: Any) -> Array:
        whole = np.full(size + 2 * GUARD, 7, dtype)
        self.all.append(whole)
        inner = whole[GUARD : GUARD + size]
        if np.dtype(dtype).kind == "f":
            inner[:] = self.numbers.standard_normal(size)
            if self.chance.random() < 0.1 and size:
                values = [np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-40]
                inner[self.chance.randrange(size)] = self.chance.choice(values)
        return inner

    def untouched(self) -> bool:
        return all((w[:GUARD] == 7).all() and (w[-GUARD:] == 7).all() for w in self.all)


class Block:
    """What the core gives, for NumPy."""

    def __init__(self, capsule: object) -> None:
        self.capsule = capsule

    def __dlpack__(self, **_: object) -> object:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def spoil(value: Any, chance: random.Random, others: list[Any]) -> Any:
    """Something like ``value``, in most cases wrong."""
    if not isinstance(value, np.ndarray) or chance.random() < 0.15:
        return chance.choice(STRANGE)
    kind, value = chance.randrange(11), value.reshape(-1)
    if kind == 0:
        return value.astype(chance.choice(["f2", "f4", "f8", "i4", "i8", "u1", "?", "c8", ">f4"]))
    if kind == 1:
        return np.repeat(value, 2)[::2]
    if kind == 2:
        value = value.view()
        value.flags.writeable = False
        return value
    if kind == 3:
        return value[: chance.randrange(len(value) + 1)]
    if kind == 4:
        return np.concatenate([value, value])
    if kind == 5:
        return value[::-1]
    if kind == 6:
        raw = np.zeros(value.nbytes + 1, np.uint8)
        return raw[1:].view(value.dtype)  # not on the border of an element
    if kind == 7:
        return value.reshape(1, -1, 1)
    if kind == 8:
        return np.broadcast_to(value.dtype.type(0), value.shape)
    if kind == 9:
        return chance.choice(others)
    return value.view(np.uint8)


def sequence(chance: random.Random, memory: Memory) -> tuple[dict[str, Any], list[Arrays], Any]:
    """Arguments of a pass through time: options, and the arrays of forward and of backward."""
    cell, dtype = chance.choice(list(CELLS)), chance.choice([np.float32, np.float64])
    gates, order = CELLS[cell], chance.choice([1, 3]) if cell == "elman" else 1
    steps, batch, units = (
        chance.choice([1, 2, 5]),
        chance.choice([1, 3]),
        chance.choice([1, 9, 33]),
    )
    width, past, every = gates * units, order * units, steps * batch
    lstm, norm, resets = cell == "lstm", chance.random() < 0.3, chance.random() < 0.3
    options: dict[str, Any] = {
        "cell": cell, "order": order, "relu": chance.random() < 0.5,
        "reverse": chance.random() < 0.5, "steps": steps, "batch": batch, "units": units,
        "threads": chance.choice([1, 1, 2, 3]), "keep_is_constant": chance.random() < 0.5,
        "saving": chance.random() < 0.8, "inputs": chance.choice([0, 1, 7, 20]),
        "bfloat16": chance.random() < 0.3,
    }  # fmt: skip
    inputs: Arrays = {}
    rows = every
    if chance.random() < 0.3:
        lengths = memory.array(batch, np.int64)
        lengths[:] = [chance.randint(1, steps) for _ in range(batch)]
        inputs["lengths"], rows = lengths, int(lengths.sum())
    kept = units if options["keep_is_constant"] else every * units
    wanted = {
        "x": (True, every * options["inputs"]), "weight_ih": (True, width * options["inputs"]),
        "weight_hh": (True, width * past), "bias_ih": (chance.random() < 0.7, width),
        "bias_hh": (chance.random() < 0.7, width),
        "norm_ih": (norm, width), "norm_hh": (norm, width),
        "peephole": (lstm, 3 * units), "norm_c": (lstm and norm, units),
        "norm_c_bias": (lstm and norm, units), "first_h": (True, batch * past),
        "first_c": (lstm, batch * units), "initial_h": (resets, batch * past),
        "initial_c": (lstm and resets, batch * units),
        "mask": (chance.random() < 0.2, batch * past), "keep_h": (chance.random() < 0.2, kept),
        "keep_c": (lstm and chance.random() < 0.2, kept),
    }  # fmt: skip
    inputs |= {n: memory.array(size, dtype) for n, (there, size) in wanted.items() if there}
    if resets:
        inputs["resets"] = memory.array(every, np.uint8)
        inputs["resets"][:] = memory.numbers.integers(0, 2, every)
    sizes = {"gates": rows * width, "h": every * units, "c": every * units, "inner": rows * units}
    sizes |= {f"normal_{part}": rows * width for part in "au"} | {"entering": rows * past}
    sizes |= {f"scale_{part}": rows for part in "au"}
    sizes |= {"normal_c": rows * units, "scale_c": rows, "last_h": batch * past}
    out = {n: memory.array(size, dtype) for n, size in (sizes | {"last_c": batch * units}).items()}
    incoming = {n: memory.array(out[n].size, dtype) for n in ("h", "c", "last_h", "last_c")}
    gradients = {n: memory.array(a.size, dtype) for n, a in inputs.items() if a.dtype == dtype}
    gradients |= {n: memory.array(rows * width, dtype) for n in ("a", "u")}
    return options, [inputs, out, incoming, gradients], dtype


def through_time(chance: random.Random, memory: Memory) -> None:
    options, arrays, dtype = sequence(chance, memory)
    others = [a for each in arrays for a in each.values()]
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        which: dict[Any, Any] = chance.choice([options, *arrays])
        name = chance.choice([*which, "unknown", "lengths", "resets"])
        action = chance.random()
        if action < 0.2:
            which.pop(name, None)
        elif action < 0.25:
            which[chance.choice([1, None, "a\0b"])] = 3
        else:
            which[name] = spoil(which.get(name), chance, others)
    backward = chance.random() < 0.5
    wide = (dtype == np.float64) ^ (chance.random() < 0.05)
    name = ("backward" if backward else "forward") + ("64" if wide else "32")
    given: list[Any] = [options, *arrays[: 4 if backward else 2]]
    if chance.random() < 0.05:
        given[chance.randrange(len(given))] = chance.choice(STRANGE)
    getattr(_core, name)(*given)


def rows(chance: random.Random, memory: Memory) -> None:
    lengths = memory.array(chance.choice([0, 1, 3]), np.int64)
    lengths[:] = [chance.choice([1, 2, 3, 0, -1, 2**40, -(2**63)]) for _ in lengths]
    size = sum(int(n) for n in lengths if 0 < n < 10)
    given: list[Any] = [
        chance.choice([3, 0, 2**62, 2**64 - 1]),
        lengths,
        memory.array(size, np.int64),
    ]
    if chance.random() < 0.5:
        at = chance.randrange(3)
        given[at] = spoil(given[at], chance, given)
    _core.valid_rows(*given)


def memory_calls(chance: random.Random, _memory: Memory) -> None:
    size = chance.choice([0, 1, 4095, 2**21 - 64, 2**46, 2**63, *STRANGE])
    block = np.from_dlpack(Block(_core.empty([size], chance.choice(["float32", "int128"]))))
    assert block.nbytes == 4 * size
    if chance.random() < 0.1:
        _core.release_memory()


def stack(chance: random.Random, memory: Memory, tokens: int = 0) -> Any:
    cell, wide = chance.choice(list(CELLS)), chance.random() < 0.3
    dtype = np.float64 if wide else np.float32
    made = (_core.Stack64 if wide else _core.Stack32)()
    inputs = first = chance.choice([1, 3, 17])
    if tokens:
        table = {"embedding": memory.array(tokens * inputs, dtype)}
        if chance.random() < 0.1:
            table["embedding"] = spoil(table["embedding"], chance, list(table.values()))
        made.set_embedding(table, tokens, inputs)
    for _ in range(chance.choice([1, 1, 2])):
        units, order = chance.choice([1, 5, 33]), chance.choice([1, 2]) if cell == "elman" else 1
        width, past = CELLS[cell] * units, order * units
        sizes = {"weight_ih": width * inputs, "weight_hh": width * past, "bias_ih": width}
        sizes |= {"initial_h": past, "peephole": 3 * units}
        arrays: Arrays = {n: memory.array(size, dtype) for n, size in sizes.items()}
        formats = ["float64"] if wide else ["float32", "bfloat16", "int8"]
        given: list[Any] = [
            cell,
            chance.choice(formats),
            inputs,
            units,
            units,
            order,
            True,
            0.1,
            0.0,
            arrays,
        ]
        if chance.random() < 0.3:
            name = chance.choice(list(arrays))
            arrays[name] = spoil(arrays[name], chance, list(arrays.values()))
        if chance.random() < 0.3:
            given[chance.randrange(len(given))] = chance.choice(STRANGE)
        made.add_layer(*given)
        inputs = units
    return made, first, inputs, dtype


def stream(chance: random.Random, memory: Memory) -> None:
    made, inputs, units, dtype = stack(chance, memory)
    batch = chance.choice([1, 1, 3, 9])
    kind = _core.Stream64 if dtype == np.float64 else _core.Stream32
    of: list[Any] = [made, batch, True]
    if chance.random() < 0.2:
        of[chance.randrange(3)] = chance.choice([*STRANGE[:12], made])
    running = kind(*of)
    x = memory.array(batch * inputs, dtype).reshape(batch, inputs)
    y = memory.array(batch * units, dtype).reshape(batch, units)
    for _ in range(3):
        given: list[Any] = [x, y]
        if chance.random() < 0.4:
            at = chance.randrange(2)
            given[at] = spoil(given[at], chance, [x, y])
        state = [chance.choice([0, 0, 1, -1, 2**63]), chance.choice([0, 1, 5]), given[1]]
        calls = ((running.timestep, given), (running.read, state), (running.write, state))
        call, arguments = chance.choice(calls)
        call(*arguments)
        running.reset()


def words(chance: random.Random, memory: Memory) -> None:
    """Tokens predicted, drawn, and drawn one after the other."""
    tokens, count = chance.choice([1, 2, 37]), chance.choice([0, 1, 3])
    made, _, units, dtype = stack(chance, memory, tokens)
    kind = _core.Stream64 if dtype == np.float64 else _core.Stream32
    running = kind(made, chance.choice([1, 4]), True)
    width = running.state_size()
    drawn, forbidden = memory.array(count, np.int64), memory.array(chance.randrange(3), np.int64)
    forbidden[:] = [chance.choice([0, units - 1, units, -1, 2**40]) for _ in forbidden]
    rows, row = memory.array(count * units, np.float64), memory.array(units, np.float64)
    uniforms = np.abs(memory.array(count, np.float64)) % 1
    states, after = memory.array(width, dtype), memory.array(count * width, dtype)
    sampling = [
        chance.choice([0, 1.0, 1e-300, 100.0, -1.0, float("nan")]),
        chance.choice([0, 1, 2, 2**62]),
        chance.choice([1.0, 0.5, 1e-300, 0.0, 2.0, float("nan")]),
    ]
    token = chance.choice([0, tokens - 1, 0, tokens, -1, 2**62])
    name, given = chance.choice(
        [
            ("predict", [token, states.reshape(1, -1), row, after[:width].reshape(1, -1)]),
            ("draw", [row, forbidden, chance.choice([0.0, 0.5, 1.0]), *sampling]),
            (
                "compose",
                [
                    token, states.reshape(1, -1), forbidden, uniforms, *sampling, drawn,
                    rows.reshape(count, units), after.reshape(count, width),
                ],
            ),
        ]
    )  # fmt: skip
    if chance.random() < 0.4:
        at = chance.randrange(len(given))
        given[at] = spoil(given[at], chance, [states, row, rows, after, drawn])
    getattr(_core if name == "draw" else running, name)(*given)
    if name == "compose":
        assert all(0 <= token < units for token in given[7])  # which may not be `drawn` any more


def main(seed: int, calls: int) -> None:
    chance, ends = random.Random(seed), Counter[str]()
    targets = [through_time] * 6 + [rows, memory_calls, stream, stream, words, words]
    np.seterr(all="ignore")
    for _ in range(calls):
        target, memory = chance.choice(targets), Memory(chance)
        try:
            target(chance, memory)
            ends["returned"] += 1
        except ALLOWED as error:
            assert str(error), "an error must say what it is"
            ends[type(error).__name__] += 1
        assert memory.untouched(), f"{target.__name__} wrote outside of its arrays"
    print(dict(ends))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
