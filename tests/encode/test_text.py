"""Vocabularies: every level loses nothing that it knows, and refuses what it cannot use."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elman.encode.bpe import BytePairVocabulary
from elman.encode.text import (
    LEVELS,
    ByteVocabulary,
    CharacterVocabulary,
    StreamDecoder,
    WordVocabulary,
    build,
    from_json,
    normalise,
)
from elman.encode.words import split
from elman.errors import DataError, ModelError, UsageError

MIXED = "ab '-\n\u0301.字の\u3099ไ้🙂\u1100\u1161"
TEXT = (st.text(min_size=1) | st.text(alphabet=MIXED, min_size=1)).filter(
    lambda text: "<unk>" not in text  # which is the unknown word
)


@given(TEXT)
@example("e\u0301 \u1100\u1161\u11a8")
@example("👨\u200d👩\u200d👧")
@pytest.mark.parametrize("level", LEVELS)
def test_round_trip(level, text):
    vocabulary = build(level, [text])
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert vocabulary.decode(ids) == unicodedata.normalize("NFC", text)
    again = from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert type(again) is type(vocabulary)
    assert again.pieces == vocabulary.pieces
    assert again.encode(text).tolist() == ids.tolist()


@given(TEXT)
@pytest.mark.parametrize("level", LEVELS)
def test_stream_decoder_gives_complete_characters(level, text):
    vocabulary = build(level, [text])
    decoder = StreamDecoder(vocabulary)
    parts = [decoder.feed(int(token)) for token in vocabulary.encode(text)]
    assert decoder.finish() == ""
    assert "".join(parts) == normalise(text)
    if level != "byte":
        assert all(parts)


def test_ids_are_as_documented():
    text = "b a a\n"
    assert build("byte", []).encode("é").tolist() == [0xC3, 0xA9]
    assert build("character", [text]).pieces == [b"", b"\n", b" ", b"a", b"b"]
    # The most frequent first, then by code point.
    assert build("word", ["b a a\n x <unk> b"]).pieces == [b"", b" a", b"\n", b" b", b" x", b"b"]
    assert build("word", ["b a a\n x"], size=3).pieces == [b"", b" a", b"\n"]
    assert build("word", ["b a a\n x"], min_count=2).pieces == [b"", b" a"]
    assert build("character", [text], min_count=2).pieces == [b"", b" ", b"a"]


@pytest.mark.parametrize(
    ("vocabulary", "text", "ids", "decoded"),
    [
        (CharacterVocabulary("ab"), "axb🙂", [1, 0, 2, 0], "a\ufffdb\ufffd"),
        (WordVocabulary(["a", " b"]), "a x b", [1, 0, 2], "a <unk> b"),
        (WordVocabulary(["a", " b"]), "a <unk> b", [1, 0, 2], "a <unk> b"),
        (BytePairVocabulary("ab", [("a", "b")]), "abxba", [3, 0, 2, 1], "ab\ufffdba"),
        (CharacterVocabulary(""), "ab", [0, 0], "\ufffd\ufffd"),
    ],
    ids=["character", "word", "literal", "bpe", "empty"],
)
def test_unknown(vocabulary, text, ids, decoded):
    assert vocabulary.encode(text).tolist() == ids
    assert vocabulary.decode(ids) == decoded
    assert vocabulary.unknown == 0
    assert vocabulary.pieces[0] == b""


def test_broken_bytes_become_replacement_characters():
    assert ByteVocabulary().decode([0x61, 0xC3, 0x62, 0xE5, 0xAD]) == "a\ufffdb\ufffd"


@pytest.mark.parametrize("token", [-1, 3])
def test_decode_refuses_ids_out_of_range(token):
    with pytest.raises(UsageError, match=f"ids must be from 0 to 2, found {token}"):
        CharacterVocabulary("ab").decode([token])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("words", ["a"]), {}, UsageError, "found 'words'; did you mean word?"),
        (("xyz", ["a"]), {}, UsageError, "level must be one of byte, character, word, bpe"),
        (("character", ["a"]), {"size": 5}, UsageError, "size applies to word and bpe only"),
        (("word", ["a"]), {"size": 1}, UsageError, "size must be from 2 to 160,000, found 1"),
        (("word", ["a"]), {"min_count": 0}, UsageError, "min_count must be at least 1, found 0"),
        (("bpe", ["abc"]), {"size": 3}, UsageError, "size must be at least 4 to hold every"),
        (("word", []), {}, DataError, "some word must occur"),
        (("character", ["ab"]), {"min_count": 2}, DataError, "min_count=2 times, found none"),
        (("bpe", [""]), {}, DataError, "some character must occur"),
        (("character", ["a\ud800"]), {}, DataError, "lone surrogate at index 1"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_build_refuses(arguments, options, error, message):
    with pytest.raises(error) as caught:
        build(*arguments, **options)
    assert message in str(caught.value)


HOSTILE = {
    "list": [],
    "none": None,
    "no-level": {},
    "unknown-level": {"level": "words"},
    "unhashable-level": {"level": []},
    "extra-key": {"level": "byte", "pieces": []},
    "number-key": {"level": "byte", 3: 4},
    "missing-key": {"level": "character"},
    "characters-a-list": {"level": "character", "characters": ["a"]},
    "characters-empty": {"level": "character", "characters": ""},
    "characters-twice": {"level": "character", "characters": "aab"},
    "characters-unsorted": {"level": "character", "characters": "ba"},
    "surrogate": {"level": "character", "characters": "a\ud800"},
    "words-a-string": {"level": "word", "words": "abc"},
    "word-empty": {"level": "word", "words": [""]},
    "word-twice": {"level": "word", "words": ["a", "a"]},
    "word-a-number": {"level": "word", "words": ["a", 1]},
    "word-long": {"level": "word", "words": ["a" * 1025]},
    "word-surrogate": {"level": "word", "words": ["\udfff"]},
    "words-too-many": {"level": "word", "words": [""] * 160_000},
    "merge-a-string": {"level": "bpe", "alphabet": "ab", "merges": ["ab"]},
    "merge-of-three": {"level": "bpe", "alphabet": "ab", "merges": [["a", "b", "a"]]},
    "merge-of-unknown": {"level": "bpe", "alphabet": "ab", "merges": [["a", "c"]]},
    "merge-before-made": {"level": "bpe", "alphabet": "ab", "merges": [["ab", "a"], ["a", "b"]]},
    "merge-twice": {"level": "bpe", "alphabet": "ab", "merges": [["a", "b"], ["a", "b"]]},
    "merge-of-lists": {"level": "bpe", "alphabet": "ab", "merges": [[["a"], "b"]]},
    "merges-an-object": {"level": "bpe", "alphabet": "ab", "merges": {}},
    "merge-doubling": {
        "level": "bpe",
        "alphabet": "a",
        "merges": [["a" * 2**k, "a" * 2**k] for k in range(12)],
    },
}


@pytest.mark.parametrize("case", HOSTILE)
def test_from_json_refuses(case):
    with pytest.raises(ModelError) as caught:
        from_json(HOSTILE[case])
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300
    assert message.startswith("[vocabulary] the file must ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.sampled_from(LEVELS), JSON, JSON)
def test_from_json_never_crashes(level, first, second):
    keys = {"character": ("characters",), "word": ("words",), "bpe": ("alphabet", "merges")}
    data = {"level": level, **dict(zip(keys.get(level, ()), (first, second), strict=False))}
    try:
        vocabulary = from_json(data)
    except ModelError:
        return
    assert vocabulary.decode(vocabulary.encode("ab")) is not None


def test_text_needs_numpy_alone():
    """Building bpe says what to install; a trained one works without ``tokenizers``."""
    program = (
        "import sys; sys.modules['tokenizers'] = None\n"
        "from elman.encode.text import build, from_json\n"
        "data = {'level': 'bpe', 'alphabet': 'ab', 'merges': [['a', 'b']]}\n"
        "assert from_json(data).encode('aab').tolist() == [1, 3]\n"
        "assert 'torch' not in sys.modules\n"
        "build('bpe', ['abab'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "UsageError: [vocabulary] building a bpe vocabulary needs" in done.stderr
    assert "pip install 'elman[train]'" in done.stderr


def _texts():
    folder = Path(os.environ.get("ELMAN_DATA", "")) / "text" / "unicode_udhr"
    return sorted(folder.glob("*.txt")) if "ELMAN_DATA" in os.environ else []


@pytest.mark.parametrize("level", LEVELS)
def test_scripts_of_the_world(level):
    """The Universal Declaration of Human Rights in 14 scripts, at every level."""
    paths = _texts()
    if not paths:
        pytest.skip("set ELMAN_DATA to the folder that holds text/unicode_udhr")
    for path in paths:
        text = path.read_text(encoding="utf-8")
        vocabulary = build(level, [text])
        assert vocabulary.decode(vocabulary.encode(text)) == normalise(text), path.name
        assert "".join(split(text)) == text, path.name
