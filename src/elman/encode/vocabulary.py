"""Vocabularies that need nothing but NumPy: bytes, characters and words.

Text is brought to Unicode's normalisation form C (NFC) before anything else, so that a letter and
its accent are the same tokens however they were typed.
"""

import codecs
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.encode.words import UNKNOWN_WORD, split
from elman.errors import DataError, UsageError

MAX_PIECE = 1024  # code points; no piece that words.split cuts is longer


def normalise(text: str) -> str:
    """Bring text to NFC. A lone surrogate, which no file can hold, is a :class:`DataError`."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            "text",
            f"text must be valid Unicode, found a lone surrogate at index {error.start}; "
            "read the file as UTF-8 with errors='replace'",
        ) from None
    return unicodedata.normalize("NFC", text)


class Vocabulary(ABC):
    """The tokens of one level: ids from 0, and the UTF-8 bytes each stands for.

    ``pieces[unknown]`` is empty; ``unknown`` is None where every text can be written.
    """

    level: str
    unknown: int | None
    unknown_text = "\ufffd"
    pieces: list[bytes]

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def barred(self) -> NDArray[np.intp]:
        """Ids that are not written where a character begins: unknown, and what none begins with."""
        return self._barred_after(b"")

    @cached_property
    def texts(self) -> list[str]:
        """What each token says by itself; nothing where it is part of a character, or unknown."""
        return [piece.decode() if _is_whole(piece) else "" for piece in self.pieces]

    def _barred_after(self, begun: bytes) -> NDArray[np.intp]:
        pieces = enumerate(self.pieces)
        ids = (i for i, piece in pieces if i == self.unknown or not _is_utf8(begun + piece))
        return np.fromiter(ids, np.intp)

    @abstractmethod
    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids of the NFC of ``text``, shape ``(N,)``."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Everything needed to build the vocabulary again, as plain JSON types."""

    def decode(self, ids: ArrayLike) -> str:
        """Text of ``ids`` (N,); bytes that are no UTF-8 become U+FFFD."""
        decoder = StreamDecoder(self)
        text = [decoder.feed(int(token)) for token in np.asarray(ids).reshape(-1)]
        return "".join(text) + decoder.finish()


class StreamDecoder:
    """Decodes one token at a time and never gives out half a character."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = b""  # of a character
        self._barred: dict[bytes, NDArray[np.intp]] = {}

    def barred(self) -> NDArray[np.intp]:
        """Ids that must not be written next: unknown, and what would break a character."""
        if not self._begun:
            return self._vocabulary.barred
        if self._begun not in self._barred:
            self._barred[self._begun] = self._vocabulary._barred_after(self._begun)
        return self._barred[self._begun]

    def feed(self, token: int) -> str:
        """Return the characters that ``token`` completes: none, one or several."""
        vocabulary = self._vocabulary
        if not 0 <= token < len(vocabulary):
            raise UsageError(
                "decode", f"ids must be from 0 to {len(vocabulary) - 1}, found {token}"
            )
        if not self._begun and (whole := vocabulary.texts[token]):
            return whole
        if token == vocabulary.unknown:
            return self.finish() + vocabulary.unknown_text
        text = self._utf8.decode(vocabulary.pieces[token])
        self._begun = self._utf8.getstate()[0]
        return text

    def finish(self) -> str:
        """End the stream: U+FFFD if a character was left incomplete, else nothing."""
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        self._begun = b""
        return rest


class ByteVocabulary(Vocabulary):
    """The 256 bytes of UTF-8. Nothing is unknown."""

    level = "byte"
    unknown = None

    def __init__(self) -> None:
        self.pieces = [bytes([value]) for value in range(256)]

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids of the NFC of ``text``: its UTF-8 bytes."""
        return np.frombuffer(normalise(text).encode(), np.uint8).astype(np.int32)

    def to_json(self) -> dict[str, Any]:
        """Only the level: the bytes are always the same."""
        return {"level": self.level}


class CharacterVocabulary(Vocabulary):
    """Code points in increasing order from id 1; id 0 is unknown."""

    level = "character"
    unknown = 0

    def __init__(self, characters: str) -> None:
        self.characters = "".join(sorted(set(characters)))
        self._codes = _code_points(self.characters)
        self.pieces = [b"", *(character.encode() for character in self.characters)]

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids of the NFC of ``text``, one a code point."""
        return find_code_points(self._codes, normalise(text))

    def to_json(self) -> dict[str, Any]:
        """The level and the characters."""
        return {"level": self.level, "characters": self.characters}


class WordVocabulary(Vocabulary):
    """Whole pieces of :func:`elman.encode.words.split` from id 1; id 0 is unknown.

    The literal ``<unk>`` is unknown too, and unknown is written `` <unk>``.
    """

    level = "word"
    unknown = 0
    unknown_text = f" {UNKNOWN_WORD}"

    def __init__(self, words: Iterable[str]) -> None:
        self.words = list(words)
        self._ids = {word: number for number, word in enumerate(self.words, start=1)}
        self.pieces = [b"", *(word.encode() for word in self.words)]

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids of the NFC of ``text``, one a piece."""
        find = self._ids.get
        return np.fromiter((find(piece, 0) for piece in split(normalise(text))), np.int32)

    def to_json(self) -> dict[str, Any]:
        """The level and the words, the most frequent first."""
        return {"level": self.level, "words": self.words}


def _is_utf8(data: bytes) -> bool:
    """Whether ``data`` is UTF-8, or can become UTF-8 when more bytes follow.

    Python's incremental decoder would also wait for the end of a surrogate, which is none.
    """
    for ending in _ENDINGS:
        try:
            (data + ending).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def _is_whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# If any bytes complete a character, the lowest or the highest continuation bytes do.
_ENDINGS = (b"", *(byte * count for count in (1, 2, 3) for byte in (b"\x80", b"\xbf")))


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), np.dtype("<u4")).astype(np.uint32)


def find_code_points(alphabet: NDArray[np.uint32], text: str) -> NDArray[np.int32]:
    """1 + the index in the sorted ``alphabet`` of each code point of ``text``, 0 where absent."""
    codes = _code_points(text)
    if not alphabet.size:
        return np.zeros(codes.size, np.int32)
    index = np.minimum(np.searchsorted(alphabet, codes), alphabet.size - 1)
    return np.where(alphabet[index] == codes, index + 1, 0).astype(np.int32)
