"""What the page is made of: its own files, all of them used, nothing inline, nothing from afar."""

import re
from html.parser import HTMLParser

import pytest
from page.peer import FILES

from elman.server.files import TYPES

NAMES = sorted(path.name for path in FILES.iterdir())
ADDRESS = re.compile(r"https?://(?!www\.w3\.org/2000/svg)")
IMPORT = re.compile(r"""(?:from|import\(|import) ?["']\./([\w.]+)["']""")
MOST_LINES = 350


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def tags() -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed((FILES / "index.html").read_text())
    return parser.found


def test_nothing_is_inline(tags: list[tuple[str, dict[str, str | None]]]) -> None:
    assert not [tag for tag, _ in tags if tag == "style"]
    assert not [given for tag, given in tags if tag == "script" and "src" not in given]
    assert not [name for _, given in tags for name in given if name == "style" or name[:2] == "on"]


def test_ids_are_there_once(tags: list[tuple[str, dict[str, str | None]]]) -> None:
    ids = [given["id"] for _, given in tags if "id" in given]
    assert len(ids) == len(set(ids))
    referred = {
        word
        for _, given in tags
        for name in ("aria-labelledby", "aria-describedby", "for")
        for word in (given.get(name) or "").split()
    }
    assert referred <= set(ids)


def test_every_file_is_used(tags: list[tuple[str, dict[str, str | None]]]) -> None:
    named = {given.get("src") or given.get("href") or "" for _, given in tags}
    waiting = {name.removeprefix("/page/") for name in named if name.startswith("/page/")}
    met = {"index.html"}
    while waiting:
        name = waiting.pop()
        met.add(name)
        if name.endswith(".js"):
            waiting |= set(IMPORT.findall((FILES / name).read_text())) - met
    assert met == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_short_and_asks_nobody_else(name: str) -> None:
    text = (FILES / name).read_text(encoding="utf-8")
    assert not ADDRESS.search(text)
    assert len(text.splitlines()) <= MOST_LINES
    assert "eval(" not in text and "innerHTML" not in text
    assert (FILES / name).suffix in TYPES
