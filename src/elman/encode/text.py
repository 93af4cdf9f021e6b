"""Text as token ids, at four levels: byte, character, word, bpe.

``build`` makes a vocabulary from texts, ``from_json`` from a model file. The same texts always
give the same ids. All text is brought to NFC first, see :func:`normalise`.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from elman.encode.bpe import BytePairVocabulary
from elman.encode.bpe import train as train_bpe
from elman.encode.vocabulary import (
    MAX_PIECE,
    ByteVocabulary,
    CharacterVocabulary,
    WordVocabulary,
)
from elman.encode.vocabulary import StreamDecoder as StreamDecoder
from elman.encode.vocabulary import Vocabulary as Vocabulary
from elman.encode.vocabulary import normalise as normalise
from elman.encode.words import UNKNOWN_WORD, split
from elman.errors import DataError, ModelError, UsageError, check_choice

LEVELS = ("byte", "character", "word", "bpe")
MAX_TOKENS, MAX_MERGES = 160_000, 60_000  # what 64 MiB of memory hold
DEFAULT_WORDS = 50_000


def build(
    level: str, texts: Iterable[str], *, size: int | None = None, min_count: int = 1
) -> Vocabulary:
    """Make the vocabulary of ``level`` from ``texts``.

    ``size`` bounds the number of tokens, unknown included, at levels word (default 50,000) and
    bpe (default 2,000, see :func:`elman.encode.bpe.train`). Words and characters that occur less
    than ``min_count`` times are unknown. The byte level looks at no text.

    Raises :class:`UsageError` for an unknown level or sizes out of bounds, :class:`DataError` if
    the texts are empty.
    """
    _check_request(level, size, min_count)
    if level == "byte":
        return ByteVocabulary()
    if level == "bpe":
        vocabulary: Vocabulary = train_bpe(texts, size, min_count)
    elif level == "word":
        vocabulary = _build_words(texts, size or DEFAULT_WORDS, min_count)
    else:
        counts = Counter(character for text in texts for character in normalise(text))
        kept = (character for character, count in counts.items() if count >= min_count)
        vocabulary = CharacterVocabulary("".join(kept))
    if len(vocabulary) == 1:
        unit = "word" if level == "word" else "character"
        raise DataError(
            "vocabulary",
            f"some {unit} must occur at least min_count={min_count} times, found none; "
            "give more text or lower min_count",
        )
    return vocabulary


def _check_request(level: str, size: int | None, min_count: int) -> None:
    check_choice("vocabulary", "level", level, LEVELS)
    if size is not None and level in ("byte", "character"):
        raise UsageError("vocabulary", f"size applies to word and bpe only, found level {level!r}")
    most = MAX_MERGES if level == "bpe" else MAX_TOKENS
    if size is not None and not 2 <= size <= most:
        raise UsageError("vocabulary", f"size must be from 2 to {most:,}, found {size}")
    if min_count < 1:
        raise UsageError("vocabulary", f"min_count must be at least 1, found {min_count}")


def _build_words(texts: Iterable[str], size: int, min_count: int) -> WordVocabulary:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split(normalise(text)))
    kept = [
        (-count, piece)
        for piece, count in counts.items()
        if count >= min_count and piece.removeprefix(" ") != UNKNOWN_WORD
    ]
    return WordVocabulary(piece for _, piece in sorted(kept)[: size - 1])


def from_json(data: object) -> Vocabulary:
    """Make a vocabulary from what ``to_json`` gave, trusting none of it.

    Raises :class:`ModelError` for anything ``to_json`` cannot have given.
    """
    if not isinstance(data, dict):
        raise _refuse(f"be an object, found {type(data).__name__}")
    level = data.get("level")
    if not isinstance(level, str) or level not in _READERS:
        raise _refuse(f"have a level out of {', '.join(LEVELS)}, found {_short(level)}")
    expected, read = _READERS[level]
    if set(data) != {"level", *expected}:
        raise _refuse(f"have the keys {', '.join(('level', *expected))}, found {_short([*data])}")
    return read(data)


def _read_characters(data: dict[str, Any]) -> CharacterVocabulary:
    return CharacterVocabulary(_alphabet(data["characters"], "characters"))


def _read_words(data: dict[str, Any]) -> WordVocabulary:
    words = _list(data["words"], "words", MAX_TOKENS)
    for word in words:
        _check_text(word, "words", MAX_PIECE)
    if len(set(words)) != len(words):
        raise _refuse("hold each word once, found one twice")
    return WordVocabulary(words)


def _read_bpe(data: dict[str, Any]) -> BytePairVocabulary:
    alphabet = _alphabet(data["alphabet"], "alphabet")
    merges = _list(data["merges"], "merges", MAX_MERGES)
    known = set(alphabet)
    pairs: dict[tuple[str, str], None] = {}
    for merge in merges:
        if not isinstance(merge, list | tuple) or len(merge) != 2:
            raise _refuse(f"hold merges of two tokens, found {_short(merge)}")
        for token in merge:
            _check_text(token, "merges", MAX_PIECE)
            if token not in known:
                raise _refuse(f"merge only tokens made before, found {_short(token)}")
        left, right = merge
        _check_text(left + right, "merges", MAX_PIECE)
        if (left, right) in pairs:
            raise _refuse(f"hold each merge once, found {_short(merge)} twice")
        pairs[left, right] = None
        known.add(left + right)
    if len(known) >= MAX_TOKENS:
        raise _refuse(f"hold at most {MAX_TOKENS:,} tokens, found {len(known) + 1:,}")
    return BytePairVocabulary(alphabet, pairs)


_Reader = Callable[[dict[str, Any]], Vocabulary]
_READERS: dict[str, tuple[tuple[str, ...], _Reader]] = {
    "byte": ((), lambda data: ByteVocabulary()),
    "character": (("characters",), _read_characters),
    "word": (("words",), _read_words),
    "bpe": (("alphabet", "merges"), _read_bpe),
}


def _alphabet(value: object, name: str) -> str:
    text = _check_text(value, name, MAX_TOKENS - 1)
    if any(left >= right for left, right in pairwise(text)):
        raise _refuse(f"hold {name} in increasing order, each once, found otherwise")
    return text


def _check_text(value: object, name: str, longest: int) -> str:
    """Return ``value`` if it is a string of 1 to ``longest`` code points that UTF-8 can hold."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise _refuse(f"hold {name} of 1 to {longest:,} characters, found {_short(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refuse(f"hold {name} in valid Unicode, found {_short(value)}") from None
    return value


def _list(value: object, name: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) >= most:
        found = f"{len(value):,}" if isinstance(value, list) else type(value).__name__
        raise _refuse(f"hold a list of at most {most - 1:,} {name}, found {found}")
    return value


def _short(value: object) -> str:
    """Write ``value`` on one line, in ASCII, cut to a readable length."""
    if isinstance(value, str):
        value = value[:40]
    elif isinstance(value, list | tuple | dict):
        value = [item[:20] if isinstance(item, str) else type(item).__name__ for item in value][:4]
    return ascii(value)[:80]


def _refuse(rule: str) -> ModelError:
    return ModelError("vocabulary", f"the file must {rule}; take the file from a trained model")
