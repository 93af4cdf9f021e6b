"""Read text from files, folders, standard input or the documentation that Python carries."""

import codecs
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from elman.errors import DataError
from elman.storage import read_file, storage

SUFFIXES = (".txt", ".text", ".md", ".rst")
MAX_BYTES = 4 << 30  # of one file; a corpus is held in memory once, while it is encoded


def read(sources: Sequence[str]) -> str:
    """Return the text of all sources, in order, a newline between two that lack one.

    A source is a file, a folder (its text files, recursively, in order of name) or "-" for
    standard input; no source at all means :func:`python_documentation`. Text is UTF-8, a byte
    order mark is dropped and CRLF line ends become LF.

    Raises StorageError for a file that cannot be read and DataError for one that holds no text.
    """
    if not sources:
        return python_documentation()
    texts = [_decode(name, data) for name, data in _contents(sources)]
    joined = "".join(text if text.endswith("\n") else text + "\n" for text in texts[:-1])
    return joined + texts[-1]


def python_documentation() -> str:
    """Return the language reference that ``help()`` shows: English prose in every Python."""
    from pydoc_data.topics import topics

    return "\n\n".join(text.strip("\n") for _, text in sorted(topics.items())) + "\n"


def _contents(sources: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for source in sources:
        if source == "-":
            yield "standard input", sys.stdin.buffer.read(MAX_BYTES)
            continue
        path = Path(source)
        paths = _text_files(path) if path.is_dir() else [path]
        for each in paths:
            yield str(each), _read_bytes(each)


def _text_files(folder: Path) -> list[Path]:
    with storage("read text", folder):
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise DataError(
            "read text",
            f"{folder} must hold text files ({', '.join(SUFFIXES)}), found none; "
            "name the files themselves if they end otherwise",
        )
    return found


def _read_bytes(path: Path) -> bytes:
    with storage("read text", path):
        try:
            return read_file(path, MAX_BYTES)
        except ValueError as error:
            raise DataError("read text", f"{path} {error}; give a text file") from None


def _decode(name: str, data: bytes) -> str:
    if not data.strip():
        found = "white space only" if data else "an empty file"
        raise DataError("read text", f"{name} must hold text, found {found}; give another file")
    mark = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        text = data[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        offset = mark + error.start
        encoding = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "the file's encoding"
        raise DataError(
            "read text",
            f"{name} must be UTF-8, found byte 0x{data[offset]:02x} at offset {offset}; "
            f"convert it, for example with iconv, from {encoding}",
        ) from None
    return text.replace("\r\n", "\n")
