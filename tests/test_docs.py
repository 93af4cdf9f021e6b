"""What the documentation says is run, not trusted."""

import re
import shlex
from pathlib import Path

import pytest

from elman.cli.main import run

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text()


def commands():
    """Every line in the pages that starts with the command, without its comment."""
    for page in PAGES:
        for line in page.read_text().splitlines():
            match = re.match(r" {4}(elman .*?)(?: {2,}.*)?$|\$ (elman .*)$", line)
            if match:
                yield match[1] or match[2]


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_commands_have_the_options_that_the_pages_give_them(line, capfd):
    words = shlex.split(line)
    assert run([*words[1:], "--help"]) == 0, capfd.readouterr().err
    assert "Usage" in capfd.readouterr().out


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_examples_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})


def test_the_tree_is_the_tree():
    block = README[README.index("    src/elman/\n") :].split("\n\n")[0]
    for line in block.splitlines()[1:]:
        indent, name = re.match(r"( +)(\S+)", line).groups()
        assert ((ROOT / "src" / "elman" if len(indent) > 4 else ROOT) / name).exists(), name
    named = set(re.findall(r"^ {6}(\S+?)/? ", block, re.MULTILINE))
    found = {p.name for p in (ROOT / "src" / "elman").iterdir()}
    assert found - named <= {"__init__.py", "__main__.py", "__pycache__", "py.typed"}


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
