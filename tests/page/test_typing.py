"""What happens at every key: suggestions, taking them, savings and tints."""

import math
import re
from collections.abc import Callable

import pytest
from page.peer import Peer, nats
from playwright.sync_api import Page, expect

LIMITS = [1, 3, 5, 7]  # bits, as the legend has them: 1 in 2, 8, 32, 128


def offered(page: Page) -> list[str]:
    return page.locator("#suggestions .word").all_inner_texts()


def wait_for(page: Page, words: list[str]) -> None:
    expect(page.locator("#suggestions .word")).to_have_text(words)


def value(page: Page) -> str:
    return page.locator("#text").input_value()


def test_words_are_offered_before_the_first_key(page: Page) -> None:
    wait_for(page, ["the", "theatre", "thesis"])


def test_every_key_changes_the_suggestions(page: Page) -> None:
    wanted = {
        "k": ["king", "kingdom"],
        "i": ["king", "kingdom"],
        "n": ["king", "kingdom"],
        "g": ["king", "kingdom"],
        "d": ["kingdom"],
        " ": ["the", "theatre", "thesis"],
        "q": ["queen"],
    }
    for key, words in wanted.items():
        page.keyboard.press(key)
        wait_for(page, words)
    page.keyboard.press("Backspace")
    wait_for(page, ["the", "theatre", "thesis"])
    assert value(page) == "kingd "


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        (["Tab"], "king "),
        (["Alt+1"], "king "),
        (["Alt+2"], "kingdom "),
        (["Shift+Tab", "2"], "kingdom "),
        (["Shift+Tab", "ArrowLeft", "Enter"], "king "),
        (["Shift+Tab", "ArrowLeft", "ArrowRight", "Space"], "kingdom "),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, list) else "",
)
def test_keys_take_a_suggestion(page: Page, peer: Peer, keys: list[str], taken: str) -> None:
    page.keyboard.type("ki")
    wait_for(page, ["king", "kingdom"])
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator("#text")).to_have_value(taken)
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator("#suggestions")).to_have_attribute("aria-busy", "false")
    assert peer.text() == taken


def test_a_click_takes_a_suggestion_and_leaves_the_caret(page: Page) -> None:
    page.keyboard.type("the q")
    wait_for(page, ["queen"])
    page.get_by_role("button", name="queen").click()
    expect(page.locator("#text")).to_have_value("the queen ")
    expect(page.locator("#text")).to_be_focused()


def test_the_browser_undoes_a_taken_word(page: Page) -> None:
    page.keyboard.type("ki")
    wait_for(page, ["king", "kingdom"])
    page.keyboard.press("Tab")
    expect(page.locator("#text")).to_have_value("king ")
    page.keyboard.press("Control+z")
    expect(page.locator("#text")).to_have_value("ki")
    wait_for(page, ["king", "kingdom"])


def test_the_tab_key_is_no_trap(page: Page) -> None:
    page.keyboard.type("ki")
    wait_for(page, ["king", "kingdom"])
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.locator("#text")).not_to_be_focused()
    assert value(page) == "ki"


def test_without_a_suggestion_tab_moves_on(page: Page) -> None:
    page.keyboard.type("été ")
    page.evaluate("document.querySelector('#text').setSelectionRange(1, 1)")
    wait_for(page, [])  # suggestions are for the end of the text
    page.keyboard.press("Tab")
    expect(page.locator("#text")).not_to_be_focused()


def test_words_that_no_longer_fit_go_at_once(page: Page, peer: Peer) -> None:
    page.keyboard.type("th")
    wait_for(page, ["the", "theatre", "thesis"])
    peer.silent = True
    page.keyboard.type("ea")
    wait_for(page, ["theatre"])
    page.keyboard.press("Tab")
    assert value(page) == "theatre "
    page.keyboard.press("Tab")  # too early: newer words are on their way
    assert value(page) == "theatre "
    expect(page.locator("#text")).to_be_focused()


def test_a_closing_mark_takes_the_brought_space_back(page: Page, peer: Peer) -> None:
    page.keyboard.type("ki")
    wait_for(page, ["king", "kingdom"])
    page.keyboard.press("Tab")
    page.keyboard.type(", and (")
    assert value(page) == "king, and ("
    page.keyboard.type(" ,")  # a space of one's own stays
    assert value(page) == "king, and ( ,"
    expect(page.locator("#suggestions")).to_have_attribute("aria-busy", "false")
    assert peer.text() == "king, and ( ,"


def test_after_a_full_stop_a_word_brings_its_space_along(page: Page) -> None:
    page.keyboard.type("so.")
    wait_for(page, ["the", "theatre", "thesis"])
    page.keyboard.press("Tab")
    expect(page.locator("#text")).to_have_value("so. the ")


def test_scripts_without_spaces_get_none(page: Page) -> None:
    page.keyboard.insert_text("日")
    wait_for(page, ["日本"])
    page.keyboard.press("Tab")
    expect(page.locator("#text")).to_have_value("日本")


def test_savings_are_keys_against_characters(page: Page) -> None:
    page.keyboard.type("the ki")  # 6 keys
    wait_for(page, ["king", "kingdom"])
    page.keyboard.press("Alt+2")  # 7 keys for "the kingdom " (12)
    expect(page.locator("#savings")).to_have_text("42 %")  # 5 / 12
    expect(page.locator("#pressed")).to_have_text("7")
    expect(page.locator("#written")).to_have_text("12")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")  # 9 keys for 10 characters
    expect(page.locator("#savings")).to_have_text("10 %")


def test_what_is_pasted_saves_nothing(page: Page) -> None:
    page.evaluate("navigator.clipboard.writeText('a long quotation')")
    page.keyboard.press("Control+v")
    expect(page.locator("#text")).to_have_value("a long quotation")
    expect(page.locator("#pressed")).to_have_text("16")
    expect(page.locator("#savings")).to_have_text("0 %")


def test_clearing_begins_anew(page: Page, peer: Peer) -> None:
    page.keyboard.type("the queen")
    page.get_by_role("button", name="Clear the text").click()
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator("#savings")).to_have_text("–")
    expect(page.locator("#bits")).to_have_text("–")
    wait_for(page, ["the", "theatre", "thesis"])
    assert peer.text() == ""


def tints(page: Page) -> list[tuple[str, str]]:
    """Every tinted run and its class, lines parted by a newline."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#tint > div")].flatMap((line, index) => [
            ...(index ? [["\\n", ""]] : []),
            ...[...line.querySelectorAll("span")].map((span) => [span.textContent, span.className]),
        ])"""
    )


def test_every_character_is_tinted_by_its_surprise(page: Page) -> None:
    text = "The qüick fox,\n\njumped. Over"
    page.keyboard.type(text)
    expect(page.locator("#suggestions")).to_have_attribute("aria-busy", "false")
    by_character = [name for run, name in tints(page) for _ in run]
    wanted = []
    for character in text:
        level = sum(nats(character) / math.log(2) > limit for limit in LIMITS)
        wanted.append(f"s{level}" if level and character != "\n" else "")
    assert "".join(run for run, _ in tints(page)) == text
    assert by_character == wanted
    assert len(set(wanted)) == 5  # every level occurs


def test_tints_lie_under_their_characters(page: Page) -> None:
    """Both layers are set alike: lines break at the same words, with tints or without."""
    page.keyboard.insert_text("AVAST! fi ffl WAVE To Ty " * 30)
    page.wait_for_selector("#tint .s1")
    sizes = page.evaluate(
        """() => {
            const [tint, text] = ["#tint", "#text"].map((each) => document.querySelector(each));
            const plain = document.createElement("div");
            plain.className = "tint";
            plain.textContent = text.value;
            tint.parentNode.append(plain);
            const heights = [tint, plain, text].map((each) => each.scrollHeight);
            plain.remove();
            return heights;
        }"""
    )
    assert len(set(sizes)) == 1, sizes


def test_surprise_can_be_read_without_colour(page: Page) -> None:
    page.keyboard.type("to be")
    reading = page.locator("#character")
    wanted = math.exp(nats("e"))
    expect(reading).to_contain_text(f"“e”: 1 in {wanted:.0f}, {nats('e') / math.log(2):.1f} bits")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(reading).to_contain_text(re.compile(f"^space: 1 in {math.exp(nats(' ')):.0f}, "))
    average = sum(map(nats, "to be")) / 5 / math.log(2)
    expect(page.locator("#bits")).to_have_text(f"{average:.2f}")


def test_words_are_listed_with_their_surprise(page: Page) -> None:
    page.keyboard.type("to be\nor  not")
    page.get_by_text("Surprise word by word").click()
    rows = page.locator("#words tbody tr")
    expect(rows).to_have_count(4)
    for row, word in zip(rows.all(), ["to", "be", "or", "not"], strict=True):
        bits = sum(map(nats, word)) / math.log(2)
        worst = max(word, key=nats)
        expect(row.locator("th, td")).to_have_text(
            [word, f"{bits:.1f}", re.compile(f"^“{worst}” ")]
        )


def test_a_screen_reader_hears_the_words_when_the_keys_rest(page: Page) -> None:
    page.keyboard.type("ki")
    expect(page.locator("#spoken")).to_have_text("Suggestions: king, kingdom")


def test_choosing_another_model_reads_the_text_again(
    open_page: Callable[..., Page], peer: Peer
) -> None:
    peer.models.append(peer.models[0] | {"name": "large", "hidden": 512})
    page = open_page(peer=peer)
    page.wait_for_selector("[data-link=started]")
    page.locator("#text").focus()
    page.keyboard.type("the")
    page.get_by_label("Model").select_option("large")
    expect(page.locator("#model-facts")).to_contain_text("1 × 512 LSTM")
    expect(page.locator("#text")).to_have_value("the")
    assert [each.get("model") for each in peer.heard if each["type"] == "start"] == [None, "large"]
    assert peer.edits()[-1] == {"type": "edit", "number": 1, "keep": 0, "insert": "the"}
