"""Suggestions against the enumeration of every series of tokens."""

import re
from collections import defaultdict

import numpy as np
import pytest

from elman.decode.predictor import together
from elman.decode.suggest import Suggester, suggest
from elman.decode.wordsearch import TOGETHER, SearchOptions
from elman.encode.bpe import BytePairVocabulary
from elman.encode.text import ByteVocabulary, CharacterVocabulary, WordVocabulary
from elman.encode.words import split
from elman.errors import ModelError, UsageError

# Words in the letters of these tests; a joiner at the end may still go on.
WORD = re.compile(r" ?([^\W_字]+(?:['-][^\W_字]+)*|字)")
OPEN = re.compile(r" ?(|[^\W_字]+(?:['-][^\W_字]+)*['-]?|字)")
VOCABULARIES = {
    "character": (CharacterVocabulary("\n 'ab.字"), "\n 'ab.字"),
    "byte": (ByteVocabulary(), "\n 'a.é—"),
    "bpe": (
        BytePairVocabulary(
            "\n 'ab.",
            [("a", "b"), (" ", "a"), (" a", "b"), ("ab", "a"), ("a", "'"), ("a", "a"), ("b", ".")],
        ),
        "\n 'ab.",
    ),
}
TYPED = {  # typed: what is settled, what is begun
    "": ("", ""),
    "a": ("", "a"),
    "a ": ("a", " "),
    "aa a": ("aa", " a"),
    "a.\na'": ("a.\n", "a'"),
    "a'a.": ("a'a.", ""),
    "a. 'aa": ("a. '", "aa"),
}


def decode(text):
    """(complete characters, is one incomplete), or None if ``text`` is not UTF-8."""
    for cut in range(min(4, len(text))):
        try:
            return text[: len(text) - cut].decode(), cut > 0
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                return None
    return "", True


def enumerate_words(predictor, settled, begun, longest):
    """P(word | settled, begun) of all words up to ``longest`` characters beyond what is typed."""
    vocabulary = predictor.vocabulary
    pieces = vocabulary.pieces
    log_probs, state = predictor.advance(predictor.start(), vocabulary.encode("\n"))
    for token in vocabulary.encode(settled):
        log_probs, state = predictor.advance(state, np.array([token], np.int32))
    begun_bytes, typed = begun.encode(), begun.removeprefix(" ")
    words: defaultdict[str, float] = defaultdict(float)
    covered = 0.0
    stack = [(b"", 1.0, log_probs[0], state)]
    while stack:
        text, weight, log_probs, state = stack.pop()
        for token in np.flatnonzero(np.exp(log_probs)):
            longer, mass = text + pieces[token], weight * float(np.exp(log_probs[token]))
            size = min(len(longer), len(begun_bytes))
            agrees = longer[:size] == begun_bytes[:size]
            if not pieces[token] or not agrees or decode(longer) is None:
                continue
            if len(text) < len(begun_bytes) <= len(longer):
                covered += mass
            whole, half = decode(longer)
            match = WORD.match(whole)
            if OPEN.fullmatch(whole):
                if not match or len(match[1]) <= len(typed) + longest:
                    after = predictor.advance(state, np.array([token], np.int32))
                    stack.append((longer, mass, after[0][0], after[1]))
            elif match and not half and match[1].startswith(typed) and size == len(begun_bytes):
                words[match[1]] += mass
    return {word: mass / (covered if begun else 1.0) for word, mass in words.items()}


@pytest.mark.parametrize("typed", TYPED, ids=repr)
@pytest.mark.parametrize("level", VOCABULARIES)
def test_a_complete_search_is_exact(make_chain, level, typed):
    predictor = make_chain(*VOCABULARIES[level])
    exact = enumerate_words(predictor, *TYPED[typed], longest=2)
    suggester = Suggester(predictor, SearchOptions(most=4000, longest=2, share=0))
    suggester.feed(typed)
    found = {item.text: item.probability for item in suggester.words(100)}
    best = dict(sorted(exact.items(), key=lambda item: (-item[1], item[0]))[:100])
    assert len(best) > 3
    assert list(found) == list(best)
    assert found == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("typed", TYPED, ids=repr)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", VOCABULARIES)
def test_the_best_are_found(make_chain, level, typed, seed):
    predictor = make_chain(*VOCABULARIES[level], seed=seed)
    exact = enumerate_words(predictor, *TYPED[typed], longest=3)
    suggester = Suggester(predictor, SearchOptions(longest=3))
    suggester.feed(typed)
    found = suggester.words(3)
    # What is found is as probable as the best, but for the slack; nothing is reported too high.
    best = sorted(exact.values(), reverse=True)[:3]
    assert [exact[item.text] for item in found] == pytest.approx(best, rel=0.005)
    for item in found:
        assert 0.93 * exact[item.text] <= item.probability <= exact[item.text] * (1 + 1e-9)


def test_searches_in_company_find_what_each_finds_alone(make_chain):
    """Their timesteps are computed in one product, and each gets its own rows."""
    predictor = make_chain(*VOCABULARIES["bpe"])
    suggesters = []
    for typed in TYPED:
        suggesters.append(Suggester(predictor))
        suggesters[-1].feed(typed)
    searches = {number: each.suggesting() for number, each in enumerate(suggesters)}
    answers, found, sizes = dict.fromkeys(searches), {}, []
    while searches:
        wanted = {}
        for number, search in list(searches.items()):
            try:
                wanted[number] = search.send(answers[number])
            except StopIteration as end:
                found[number] = end.value
                del searches[number]
        sizes.append(len(wanted))
        if wanted:
            answers = dict(zip(wanted, together(list(wanted.values())), strict=True))
    assert max(sizes) == len(TYPED)
    assert [found[number] for number in sorted(found)] == [
        suggest(predictor, typed) for typed in TYPED
    ]


def test_what_is_read_at_most(make_chain):
    """However flat the predictions are: a model that knows nothing is not searched for ever."""
    vocabulary = CharacterVocabulary("abcdefghijklmnopqrstuvwxyz ")
    predictor = make_chain(vocabulary, "abcdefghijklmnopqrstuvwxyz ")
    predictor.table[:] = 1 / len(vocabulary)
    counts, advance = [], predictor.advance

    def counted(state, tokens):
        counts.append(tokens.size)
        return advance(state, tokens)

    predictor.advance = counted
    found = suggest(predictor, "", 100, SearchOptions(most=200)).next_words
    assert sum(counts) < 200 + 10 and max(counts) == TOGETHER
    assert len(found) == 100 and all(len(item.text) <= 3 for item in found)


def test_a_long_word_in_many_tokens_is_followed_to_its_end(make_chain):
    """It can be written in more ways than there are atoms; the likeliest are followed."""
    predictor = make_chain(*VOCABULARIES["bpe"])
    completions = suggest(predictor, " " + "aab" * 20).completions
    assert completions[0].text.startswith("aab" * 20)
    assert 0 < sum(item.probability for item in completions) <= 1


def test_different_tokens_of_one_word_are_summed(make_table):
    vocabulary = BytePairVocabulary(" ab", [("a", "b")])  # 0 unknown, " " 1, a 2, b 3, ab 4
    table = np.tile([0.0, 0.5, 0.2, 0.2, 0.1], (97, 1))
    found = suggest(make_table(vocabulary, table), "a", 2, SearchOptions(share=0)).completions
    # P(a..) = P(a) + P(ab) = 0.3. "a": a, end. "ab": a b end, or ab end.
    assert [item.text for item in found] == ["a", "ab"]
    expected = [0.2 * 0.5 / 0.3, (0.2 * 0.2 + 0.1) * 0.5 / 0.3]
    assert [item.probability for item in found] == pytest.approx(expected)


@pytest.fixture
def words(make_table):
    vocabulary = WordVocabulary(["\n", " the", "the", " then", " cat", ".", " don't", " 字"])
    row = [0.1, 0.05, 0.2, 0.05, 0.1, 0.15, 0.15, 0.12, 0.08]
    return make_table(vocabulary, np.tile(row, (97, 1)))


@pytest.mark.parametrize(
    ("typed", "completions", "next_words"),
    [
        ("", {}, {"the": 0.25, "cat": 0.15, "don't": 0.12}),
        ("x ", {}, {"the": 0.2 / 0.65, "cat": 0.15 / 0.65, "don't": 0.12 / 0.65}),
        ("cat th", {"the": 2 / 3, "then": 1 / 3}, {"the": 0.2 / 0.65, "cat": 0.15 / 0.65}),
        ("(the", {"the": 1.0}, {"the": 0.2 / 0.65, "cat": 0.15 / 0.65}),
        ("I don'", {"don't": 1.0}, {"the": 0.2 / 0.65, "cat": 0.15 / 0.65}),
        (" qx", {}, {"the": 0.2 / 0.65, "cat": 0.15 / 0.65}),
    ],
    ids=["start", "space", "within", "bracket", "joiner", "never-seen"],
)
def test_word_level(words, typed, completions, next_words):
    found = suggest(words, typed)
    assert {item.text: item.probability for item in found.completions} == pytest.approx(completions)
    best = {item.text: item.probability for item in found.next_words}
    assert next_words.items() <= {word: pytest.approx(p) for word, p in best.items()}.items()


@pytest.mark.parametrize("level", VOCABULARIES)
def test_next_words_follow_the_best_completion(make_chain, level):
    predictor = make_chain(*VOCABULARIES[level])
    found = suggest(predictor, "a.a")
    after = suggest(predictor, f"a.{found.completions[0].text} ")
    assert after.completions == []
    assert found.next_words == after.next_words != []


@pytest.mark.parametrize("level", VOCABULARIES)
@pytest.mark.parametrize("typed", ["aq", "a ü", "ЖЖ", "a\u0301\u0301", "字字"])
def test_characters_never_seen(make_chain, level, typed):
    predictor = make_chain(*VOCABULARIES[level])
    completions = suggest(predictor, typed).completions
    assert completions == []


@pytest.mark.parametrize("level", VOCABULARIES)
def test_letter_by_letter_is_the_whole_text(make_chain, level):
    predictor = make_chain(*VOCABULARIES[level])
    text = "a'a aa.  aba\n 'ab' a'"
    letters = Suggester(predictor)
    for number, letter in enumerate(text, start=1):
        letters.feed(letter)
        assert letters.suggest() == suggest(predictor, text[:number])


@pytest.mark.parametrize("level", VOCABULARIES)
def test_text_is_read_once_and_in_its_own_tokens(make_chain, level):
    predictor = make_chain(*VOCABULARIES[level])
    text = "a'a aa.  aba\n 'ab' a"
    suggester = Suggester(predictor)
    for letter in text:
        suggester.feed(letter)
    settled = "".join(split(text)[:-1])
    assert predictor.read == [*predictor.vocabulary.encode("\n" + settled)]


def test_accent_typed_after_its_letter(make_chain):
    predictor = make_chain(CharacterVocabulary("\n aéb"), "\n aéb")
    suggester = Suggester(predictor)
    for letter in "a be\u0301":
        suggester.feed(letter)
    assert suggester.suggest() == suggest(predictor, "a bé")
    assert suggester.suggest().completions[0].text.startswith("bé")


@pytest.mark.parametrize(
    ("options", "n", "message"),
    [
        (SearchOptions(most=0), 3, "most must be from 1 to 65,536, found 0"),
        (SearchOptions(longest=65), 3, "longest must be from 1 to 64, found 65"),
        (SearchOptions(share=-1), 3, "share must be from 0 to 1, found -1"),
        (SearchOptions(slack=2), 3, "slack must be from 0 to 1, found 2"),
        (SearchOptions(), 0, "n must be from 1 to 100, found 0"),
    ],
    ids=["most", "longest", "share", "slack", "n"],
)
def test_bounds(make_chain, options, n, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        suggest(make_chain(*VOCABULARIES["character"]), "a", n, options)


def test_model_of_another_vocabulary(make_table):
    with pytest.raises(ModelError, match=r"shape \(1, 3\), found \(1, 5\)"):
        suggest(make_table(CharacterVocabulary("ab"), np.full((97, 5), 0.2)), "a")


def test_damaged_model(make_table):
    with pytest.raises(ModelError, match=r"nan"):
        suggest(make_table(CharacterVocabulary("ab"), np.full((97, 3), np.nan)), "a")
