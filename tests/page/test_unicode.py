"""Characters beyond the first plane, input methods, paste, undo: positions count code points."""

import random
from typing import Any

import pytest
from page.peer import Peer, nats
from playwright.sync_api import Page, expect

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"  # one glyph, five code points
ALPHABET = ["a", "b", " ", "\n", "é", "e\u0301", "\u0301", "日", "\U0001f600", "\U0001f601", FAMILY]


def module(page: Page, name: str, expression: str, argument: Any = None) -> Any:
    """What ``expression`` gives with the module as ``m`` and the argument as ``x``."""
    script = f"async (x) => {{ const m = await import('/page/{name}'); return {expression}; }}"
    return page.evaluate(script, argument)


def settled(page: Page) -> None:
    expect(page.locator("#suggestions")).to_have_attribute("aria-busy", "false")


def keys(page: Page) -> str:
    return page.locator("#pressed").inner_text()


def test_differences_count_code_points(page: Page) -> None:
    """400 random pairs of texts: as Python cuts them, which counts code points by itself."""
    chance = random.Random(4)

    def text(most: int) -> str:
        return "".join(chance.choices(ALPHABET, k=chance.randrange(most)))

    pairs = [(start + text(6), start + text(6)) for start in (text(8) for _ in range(400))]
    found = module(page, "codepoints.js", "x.map(([a, b]) => m.difference(a, b))", pairs)
    for (before, after), each in zip(pairs, found, strict=True):
        same = 0
        while same < min(len(before), len(after)) and before[same] == after[same]:
            same += 1
        assert each == {"keep": same, "insert": after[same:]}


def test_pairs_are_never_cut(page: Page) -> None:
    # The two differ in the second half of a pair only.
    found = module(page, "codepoints.js", "m.difference('a\\u{1f600}', 'a\\u{1f601}')")
    assert found == {"keep": 1, "insert": "\U0001f601"}


def test_half_a_pair_becomes_the_replacement_character(page: Page) -> None:
    script = "m.wellFormed('a\\ud83d b\\ude00 \\ud83d\\ude00 \\ud83d\\ud83d\\ude00')"
    assert module(page, "codepoints.js", script) == "a\ufffd b\ufffd \U0001f600 \ufffd\U0001f600"


@pytest.mark.parametrize("text", ["", "x" * 10, "\U0001f600" * 11, FAMILY * 3])
def test_parts_are_the_text(page: Page, text: str) -> None:
    found = module(page, "codepoints.js", "m.parts(x, 4)", text)
    assert "".join(found) == text
    assert [len(each) for each in found] == [4] * (len(text) // 4) + [len(text) % 4] * (
        len(text) % 4 > 0
    )


def test_glyphs_are_not_cut_by_tints(page: Page) -> None:
    points = list("e\u0301" + FAMILY + "a")  # 2 + 5 + 1 code points
    levels = [0, 2, 1, None, 4, 0, 1, 4]
    found = module(page, "tint.js", "m.runs(...x)", ["".join(points), levels])
    assert found == [{"text": "e\u0301", "level": 2}, {"text": FAMILY + "a", "level": 4}]


def test_surprise_of_what_lies_beyond_the_first_plane(page: Page, peer: Peer) -> None:
    page.keyboard.insert_text("\U0001f600 a")
    settled(page)
    expect(page.locator("#character")).to_contain_text("“a”")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#character")).to_contain_text("“\U0001f600”")
    assert peer.edits()[-1] | {"number": 0} == {
        "type": "edit",
        "number": 0,
        "keep": 0,
        "insert": "\U0001f600 a",
    }


def test_typing_after_emoji_keeps_code_points(page: Page, peer: Peer) -> None:
    page.keyboard.insert_text(f"\U0001f600{FAMILY}")
    settled(page)
    page.keyboard.press("x")
    settled(page)
    assert peer.edits()[-1]["keep"] == 6
    assert peer.text() == f"\U0001f600{FAMILY}x"


def test_backspace_across_emoji(page: Page, peer: Peer) -> None:
    page.keyboard.insert_text(f"a\U0001f600{FAMILY}")
    settled(page)
    lengths = []
    for _ in range(3):
        page.keyboard.press("Backspace")
        settled(page)
        assert peer.text() == page.locator("#text").input_value()
        lengths.append((peer.edits()[-1]["keep"], len(peer.text())))
    assert lengths == [(2, 2), (1, 1), (0, 0)]  # each a whole glyph


def test_deleting_in_the_middle(page: Page, peer: Peer) -> None:
    page.keyboard.type("one two three")
    settled(page)
    page.evaluate("document.querySelector('#text').setSelectionRange(4, 8)")
    page.keyboard.press("Delete")
    settled(page)
    # The network read "three" after "two": it must be read again, from where the texts part.
    assert peer.edits()[-1] | {"number": 0} == {
        "type": "edit",
        "number": 0,
        "keep": 5,
        "insert": "hree",
    }
    assert peer.text() == "one three"


def test_composition_is_sent_as_it_grows_and_keys_stay_its_own(page: Page, peer: Peer) -> None:
    devtools = page.context.new_cdp_session(page)
    page.keyboard.type("x ")
    for text in ("k", "ki", "kin"):
        devtools.send(
            "Input.imeSetComposition",
            {"text": text, "selectionStart": len(text), "selectionEnd": len(text)},
        )
    settled(page)
    assert peer.text() == "x kin"
    expect(page.locator("#suggestions .word")).to_have_text(["king", "kingdom"])
    page.evaluate(
        """document.querySelector("#text").dispatchEvent(new KeyboardEvent("keydown",
            { key: "Tab", isComposing: true, bubbles: true, cancelable: true }))"""
    )
    assert page.locator("#text").input_value() == "x kin"  # the input method's Tab, not ours
    devtools.send("Input.insertText", {"text": "金"})
    settled(page)
    assert peer.text() == page.locator("#text").input_value() == "x 金"
    assert keys(page) == "3"  # x, space, and the one character that came of it


def test_a_long_paste_goes_in_parts(page: Page, peer: Peer) -> None:
    text = "a\U0001f600é\n" * 2400  # 9,600 code points, 12,000 units of UTF-16
    page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    page.keyboard.press("Control+v")
    settled(page)
    assert page.locator("#text").input_value() == text == peer.text()
    assert [(each["keep"], len(each["insert"])) for each in peer.edits()[-3:]] == [
        (0, 4000),
        (4000, 4000),
        (8000, 1600),
    ]
    known = sum(map(nats, text)) / len(text)
    expect(page.locator("#bits")).to_have_text(f"{known / 0.6931471805599453:.2f}")


def test_the_box_holds_no_more_than_a_session(page: Page) -> None:
    page.evaluate("navigator.clipboard.writeText('x'.repeat(20_100))")
    page.keyboard.press("Control+v")
    assert len(page.locator("#text").input_value()) == 20_000


def test_undo_and_redo(page: Page, peer: Peer) -> None:
    page.keyboard.insert_text("日\U0001f600")
    page.keyboard.insert_text("!")
    settled(page)
    page.keyboard.press("Control+z")
    settled(page)
    undone = page.locator("#text").input_value()
    assert undone != "日\U0001f600!"
    assert peer.text() == undone
    page.keyboard.press("Control+Shift+z")
    settled(page)
    assert page.locator("#text").input_value() == peer.text() == "日\U0001f600!"


def test_decomposed_letters_find_their_word(page: Page, peer: Peer) -> None:
    adds = "x.map(([text, word]) => m.rest(text, { word, kind: 'completion', stale: false }))"
    pairs = [("l\u2019e\u0301", "été"), ("e\u0301te\u0301", "été"), ("x", "été")]
    assert module(page, "words.js", adds, pairs) == ["té ", " ", None]
