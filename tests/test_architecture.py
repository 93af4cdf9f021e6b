"""The plan of the house, enforced: who imports whom, how large a file is, what every file must say.

Each rule is a function from a source tree to its violations, one readable line each. The first
test runs all of them over this tree; the others plant a violation of each rule in a made-up tree.
"""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
Rule = Callable[[Path], Iterator[str]]

# From the bottom up. What stands in one rank is apart: neither side may import the other. Folders
# in one tuple are one side, and may import one another without a circle.
RANKS: list[list[tuple[str, ...]]] = [
    [("elman", "errors", "spec", "storage")],
    [("config",), ("reference",), ("encode", "decode"), ("core", "_core")],
    [("modelfile",)],
    [("nn", "bptt", "lens"), ("runtime",)],
    [("tasks",)],
    [("train",), ("server",)],
    [("cli", "__main__")],
]
PLACE = {
    folder: (rank, side)
    for rank, sides in enumerate(RANKS)
    for side, folders in enumerate(sides)
    for folder in folders
}


def from_rank(lowest: int) -> tuple[str, ...]:
    """Every folder of a rank and above."""
    return tuple(f"elman.{folder}" for folder, (rank, _) in PLACE.items() if rank >= lowest)


# Who may import what does not come with Python: beginnings of module names.
TORCH_USERS = tuple(f"elman.{n}" for n in ("nn", "bptt", "lens", "tasks", "train", "cli"))
THIRD_PARTY: dict[str, tuple[str, ...]] = {
    "numpy": from_rank(1),
    "safetensors": from_rank(2),
    "torch": TORCH_USERS,
    "matplotlib": ("elman.train", "elman.lens"),
    "rich": ("elman.train.progress", "elman.cli"),
    "typer": ("elman.cli",),
    "tokenizers": ("elman.encode.bpe",),
    "soundfile": ("elman.encode",),
    "PIL": ("elman.encode",),
    "starlette": ("elman.server",),
    "uvicorn": ("elman.server",),
    "h11": ("elman.server.protocol",),
    "websockets": ("elman.server.protocol",),
    "prometheus_client": ("elman.server.metrics",),
    "redis": ("elman.server.redisstore",),
}
MAX_LINES, MAX_TEST_LINES, MAX_MEDIAN = 350, 500, 150
GRAB_BAGS = ("utils", "common", "helpers", "misc")
PICKLES = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
LIGHT_MODULES = ("elman", "elman.reference", "elman.encode.text", "elman.decode.suggest")
LIGHT_FROM_RANK_2 = ("elman.modelfile", "elman.runtime")
LIGHT = [["-c", f"import {name}"] for name in (*LIGHT_MODULES, *LIGHT_FROM_RANK_2)]
LIGHT += [["-m", "elman", "--help"]]


class Import(NamedTuple):
    """One name that a module imports, wherever in the file it does."""

    module: str  # that imports
    line: int
    target: str  # that is imported

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


class Source(NamedTuple):
    """One file of a source tree."""

    module: str
    path: Path
    tree: ast.Module


@cache
def sources(root: Path) -> tuple[Source, ...]:
    """Every file below ``root/src``, parsed, with the name of its module."""
    found = []
    for path in sorted((root / "src").rglob("*.py")):
        parts = path.relative_to(root / "src").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Source(name, path, ast.parse(path.read_text(encoding="utf-8"))))
    return tuple(found)


@cache
def imports(root: Path) -> tuple[Import, ...]:
    """Every import of every file: in functions and under TYPE_CHECKING too."""
    modules = {source.module for source in sources(root)}
    found = []
    for module, path, tree in sources(root):
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found += [Import(module, node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                up = package.split(".")[: len(package.split(".")) + 1 - node.level]
                base = ".".join([*(up if node.level else []), *filter(None, [node.module])])
                for alias in node.names:
                    full = f"{base}.{alias.name}"  # from package import module
                    found.append(Import(module, node.lineno, full if full in modules else base))
    return tuple(dict.fromkeys(found))


def folder_of(module: str) -> str:
    """``elman.nn.stack`` -> ``nn``, and ``elman`` itself."""
    return module.split(".")[1] if "." in module else module


def ranks(root: Path) -> Iterator[str]:
    """Imports go down, or stay on one side."""
    for source in sources(root):
        if folder_of(source.module) not in PLACE:
            yield f"{source.module} has no rank; give it one in RANKS"
    for each in imports(root):
        user, used = folder_of(each.module), folder_of(each.target)
        if each.target.split(".")[0] != "elman" or not {user, used} <= PLACE.keys():
            continue
        (rank, side), (used_rank, used_side) = PLACE[user], PLACE[used]
        if used_rank > rank or (used_rank == rank and side != used_side):
            yield f"{each}: rank {rank} ({user}) may not import rank {used_rank} ({used})"


def package_imports_nothing(root: Path) -> Iterator[str]:
    """``import elman`` costs nothing."""
    for each in imports(root):
        if each.module == "elman":
            yield f"{each}: elman/__init__.py imports nothing"


def circles(root: Path) -> Iterator[str]:
    """No module imports itself by way of others."""
    graph: dict[str, set[str]] = {source.module: set() for source in sources(root)}
    for each in imports(root):
        if each.target in graph and each.target != each.module:
            graph[each.module].add(each.target)
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> Iterator[str]:
        if module in path:
            yield "a circle of imports: " + " -> ".join((*path[path.index(module) :], module))
        elif module not in finished:
            for target in sorted(graph[module]):
                yield from visit(target, (*path, module))
            finished.add(module)

    for module in graph:
        yield from visit(module, ())


def third_parties(root: Path) -> Iterator[str]:
    """What does not come with Python is imported only where the table says."""
    for each in imports(root):
        top = each.target.split(".")[0]
        if top == "elman" or top in sys.stdlib_module_names:
            continue
        users = THIRD_PARTY.get(top, ())
        if not any(each.module == user or each.module.startswith(user + ".") for user in users):
            yield f"{each}: only {', '.join(users) or 'nobody'} may import {top}"


def sizes(root: Path) -> Iterator[str]:
    """Files that can be read in one sitting."""

    def lines(path: Path) -> int:
        return len(path.read_text(encoding="utf-8").splitlines())

    counts = [lines(path) for path in (root / "src").rglob("*.py")]
    if median(counts) > MAX_MEDIAN:
        yield f"the median source file has {median(counts):g} lines, more than {MAX_MEDIAN}"
    for top, ending, most in (
        ("src", "py", MAX_LINES),
        ("csrc", "h", MAX_LINES),
        ("csrc", "cpp", MAX_LINES),
        ("tests", "py", MAX_TEST_LINES),
    ):
        for path in sorted((root / top).rglob(f"*.{ending}")):
            if lines(path) > most:
                yield f"{path.relative_to(root)} has {lines(path)} lines, more than {most}"


def names(root: Path) -> Iterator[str]:
    """No file or folder whose name says nothing."""
    for top in ("src", "tests"):
        for path in sorted((root / top).rglob("*")):
            if path.stem.strip("_") in GRAB_BAGS:
                yield f"{path.relative_to(root)} says nothing about what it holds"


def docstrings(root: Path) -> Iterator[str]:
    """Public modules, and the public classes, functions and methods in them, are documented."""
    Documented = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

    def undocumented(node: ast.AST, name: str) -> Iterator[str]:
        if isinstance(node, (ast.Module, *Documented)) and not ast.get_docstring(node):
            yield f"{name} has no docstring"
        if isinstance(node, (ast.Module, ast.ClassDef)):
            for child in node.body:
                if isinstance(child, Documented) and not child.name.startswith("_"):
                    yield from undocumented(child, f"{name}.{child.name}")

    for module, path, tree in sources(root):
        if path.name == "__init__.py" or not path.name.startswith("_"):
            yield from undocumented(tree, module)


def no_pickle(root: Path) -> Iterator[str]:
    """Nothing is ever unpickled."""
    for each in imports(root):
        if each.target.split(".")[0] in PICKLES:
            yield f"{each}, which can run code from a file"
    for module, _, tree in sources(root):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            if called == "torch.load" and given.get("weights_only") != "True":
                yield f"{module}:{node.lineno} calls torch.load without weights_only=True"
            if given.get("allow_pickle", "False") != "False":
                yield f"{module}:{node.lineno} calls {called} with allow_pickle"


RULES: tuple[Rule, ...] = (
    ranks,
    package_imports_nothing,
    circles,
    third_parties,
    sizes,
    names,
    docstrings,
    no_pickle,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_follows(rule: Rule) -> None:
    violations = list(rule(ROOT))
    if violations:
        pytest.fail("\n".join([str(rule.__doc__), *violations]), pytrace=False)


@pytest.mark.parametrize("arguments", LIGHT, ids=lambda a: a[-1].removeprefix("import "))
def test_torch_is_not_loaded_by(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "elman" in loaded
    assert not [name for name in loaded if name.split(".")[0] == "torch"]


def test_the_tests_of_a_wheel_need_no_torch() -> None:
    """Those that tests/packaging runs where nothing but NumPy and pytest is installed."""
    code = "import sys; sys.modules['torch'] = None; sys.path.append('tests')"
    command = [sys.executable, "-c", f"{code}; import runtime.test_values"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


def plant(root: Path, files: dict[str, str]) -> Path:
    """A small tree that breaks no rule, with ``files`` put into it."""
    sound = {
        "src/elman/__init__.py": '"""Fine."""\n\n__version__ = "1"\n',
        "src/elman/spec.py": '"""Fine."""\n\nfrom elman import __version__\n',
        "src/elman/nn/__init__.py": '"""Fine."""\n\nfrom elman.nn.a import f as f\n',
        "src/elman/nn/a.py": '"""Fine."""\n\nimport torch\n\n\ndef f():\n    """Fine."""\n',
        "src/elman/bptt/b.py": '"""Fine."""\n\nfrom elman import spec\nfrom elman.nn import f\n',
        "tests/test_a.py": "",
    }
    for name, text in (sound | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_sound_tree_breaks_no(rule: Rule, tmp_path: Path) -> None:
    assert list(rule(plant(tmp_path, {}))) == []


SRC = "src/elman/"
PLANTED: dict[str, tuple[Rule, dict[str, str], str]] = {
    "upwards": (
        ranks,
        {SRC + "spec.py": "import elman.nn.a"},
        "elman.spec:1 imports elman.nn.a: rank 0 (spec) may not import rank 3 (nn)",
    ),
    "upwards in a function": (
        ranks,
        {SRC + "encode/e.py": "def f():\n    from elman.modelfile import read"},
        "elman.encode.e:2 imports elman.modelfile: rank 1 (encode) may not import "
        "rank 2 (modelfile)",
    ),
    "upwards for types": (
        ranks,
        {SRC + "nn/a.py": "if TYPE_CHECKING:\n    from elman.tasks.text import model"},
        "elman.nn.a:2 imports elman.tasks.text: rank 3 (nn) may not import rank 4 (tasks)",
    ),
    "relative": (
        ranks,
        {SRC + "nn/a.py": "from ..train import loop", SRC + "train/loop.py": ""},
        "elman.nn.a:1 imports elman.train.loop: rank 3 (nn) may not import rank 5 (train)",
    ),
    "to the other side": (
        ranks,
        {SRC + "runtime/model.py": "from elman.nn import f"},
        "elman.runtime.model:1 imports elman.nn: rank 3 (runtime) may not import rank 3 (nn)",
    ),
    "no rank": (
        ranks,
        {SRC + "extras.py": ""},
        "elman.extras has no rank; give it one in RANKS",
    ),
    "heavy package": (
        package_imports_nothing,
        {SRC + "__init__.py": "from elman.spec import CELLS"},
        "elman:1 imports elman.spec: elman/__init__.py imports nothing",
    ),
    "circle of three": (
        circles,
        {
            SRC + "nn/a.py": "from elman.nn import b",
            SRC + "nn/b.py": "def f():\n    import elman.nn.c",
            SRC + "nn/c.py": "from elman.nn.a import f",
        },
        "a circle of imports: elman.nn.a -> elman.nn.b -> elman.nn.c -> elman.nn.a",
    ),
    "torch too low": (
        third_parties,
        {SRC + "modelfile.py": "import torch.nn"},
        f"elman.modelfile:1 imports torch.nn: only {', '.join(TORCH_USERS)} may import torch",
    ),
    "torch in the runtime": (
        third_parties,
        {SRC + "runtime/model.py": "def f():\n    from torch import Tensor"},
        f"elman.runtime.model:2 imports torch: only {', '.join(TORCH_USERS)} may import torch",
    ),
    "numpy in rank 0": (
        third_parties,
        {SRC + "errors.py": "import numpy as np"},
        f"elman.errors:1 imports numpy: only {', '.join(from_rank(1))} may import numpy",
    ),
    "tokenizers elsewhere": (
        third_parties,
        {SRC + "encode/text.py": "import tokenizers"},
        "elman.encode.text:1 imports tokenizers: only elman.encode.bpe may import tokenizers",
    ),
    "unknown": (
        third_parties,
        {SRC + "cli/a.py": "import yaml"},
        "elman.cli.a:1 imports yaml: only nobody may import yaml",
    ),
    "long source": (
        sizes,
        {SRC + "nn/a.py": "\n" * 351},
        "src/elman/nn/a.py has 351 lines, more than 350",
    ),
    "long test": (
        sizes,
        {"tests/test_a.py": "\n" * 501},
        "tests/test_a.py has 501 lines, more than 500",
    ),
    "long median": (
        sizes,
        {SRC + f"nn/{name}.py": "\n" * 200 for name in "abcdef"},
        "the median source file has 200 lines, more than 150",
    ),
    "grab-bag": (
        names,
        {SRC + "nn/_utils.py": ""},
        "src/elman/nn/_utils.py says nothing about what it holds",
    ),
    "module without docstring": (docstrings, {SRC + "nn/a.py": ""}, "elman.nn.a has no docstring"),
    "method without docstring": (
        docstrings,
        {SRC + "nn/a.py": '"""M."""\nclass A:\n    """C."""\n    def f(self): ...'},
        "elman.nn.a.A.f has no docstring",
    ),
    "pickle": (
        no_pickle,
        {SRC + "nn/a.py": "def f():\n    import pickle"},
        "elman.nn.a:2 imports pickle, which can run code from a file",
    ),
    "torch.load": (
        no_pickle,
        {SRC + "nn/a.py": "import torch\ntorch.load(path, weights_only=False)"},
        "elman.nn.a:2 calls torch.load without weights_only=True",
    ),
    "allow_pickle": (
        no_pickle,
        {SRC + "nn/a.py": "import numpy as np\nnp.load(path, allow_pickle=True)"},
        "elman.nn.a:2 calls np.load with allow_pickle",
    ),
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(
    planted: tuple[Rule, dict[str, str], str], tmp_path: Path
) -> None:
    rule, files, violation = planted
    assert list(rule(plant(tmp_path, files))) == [violation]
