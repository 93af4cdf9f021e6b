"""The hidden state as pictures, and as words."""

import re
from base64 import b64decode
from collections.abc import Callable

import numpy as np
import pytest
from page.peer import HIDDEN, Peer, column
from playwright.sync_api import Page, expect

STEP = 12  # CSS pixels a timestep
TEXT = "the queen"
CALM = {"reduced_motion": "reduce"}
Colour = tuple[int, int, int]
LIGHT = {"low": (0x2B, 0x5C, 0x86), "middle": (0xF7, 0xF4, 0xEE), "high": (0xA2, 0x3C, 0x18)}
DARK = {"low": (0x8F, 0xC1, 0xEC), "middle": (0x21, 0x1F, 0x1C), "high": (0xF0, 0x9A, 0x72)}

# OKLab as its author defines it: linear sRGB to LMS, cube roots, and on to L, a, b.
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def lab(colour: Colour) -> np.ndarray:
    value = np.array(colour) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return TO_LAB @ np.cbrt(TO_LMS @ linear)


def shade(value: int, ends: dict[str, Colour]) -> np.ndarray:
    """The sRGB colour of ``value`` out of -127 … 127, by inverting the matrices."""
    end = lab(ends["low" if value < 0 else "high"])
    mixed = lab(ends["middle"]) + abs(value) / 127 * (end - lab(ends["middle"]))
    linear = np.linalg.solve(TO_LMS, np.linalg.solve(TO_LAB, mixed) ** 3)
    curve = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    )
    return 255 * curve


def pixels(page: Page, canvas: str) -> np.ndarray:
    """The canvas as (height, width, 4)."""
    found = page.evaluate(
        """(id) => {
            const { width, height } = document.getElementById(id);
            const copy = new OffscreenCanvas(width, height);
            const context = copy.getContext("2d", { willReadFrequently: true });
            context.drawImage(document.getElementById(id), 0, 0);
            const { buffer } = context.getImageData(0, 0, width, height).data;
            return [width, height, new Uint8Array(buffer).toBase64()];
        }""",
        canvas,
    )
    return np.frombuffer(b64decode(found[2]), np.uint8).reshape(found[1], found[0], 4)


def look(page: Page, text: str = TEXT) -> None:
    """Open the view and type."""
    page.get_by_role("link", name="Look inside").click()
    page.locator("#text").click()
    page.keyboard.type(text)
    expect(page.locator("#activity")).to_contain_text(f"through {len(text)} timesteps")
    painted(page)


def painted(page: Page) -> None:
    """Two frames later whatever was to be drawn is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.fixture
def calm(open_page: Callable[..., Page], peer: Peer) -> Page:
    """The page without motion: columns are there at once."""
    page = open_page(peer=peer, **CALM)
    page.wait_for_selector("[data-link=started]")
    return page


@pytest.mark.parametrize(("scheme", "ends"), [("light", LIGHT), ("dark", DARK)])
def test_every_cell_has_the_colour_of_its_value(
    open_page: Callable[..., Page], peer: Peer, scheme: str, ends: dict[str, Colour]
) -> None:
    page = open_page(peer=peer, color_scheme=scheme, **CALM)
    page.wait_for_selector("[data-link=started]")
    look(page)
    chosen = page.locator("#unit").input_value()
    heat = pixels(page, "heat")
    row = heat.shape[0] / HIDDEN
    for t, character in enumerate(TEXT):
        for unit, value in enumerate(column(t, character)):
            if str(unit + 1) != chosen:  # that one has a frame
                found = heat[int((unit + 0.5) * row), int((t + 0.5) * STEP), :3]
                assert np.abs(found - shade(value, ends)).max() <= 1.5, (t, unit, value)
    assert not heat[:, (len(TEXT) + 1) * STEP :, 3].any()  # nothing beyond the text


def test_one_more_column_with_every_character(calm: Page) -> None:
    look(calm, "a")
    widths = []
    for character in "bcd":
        calm.keyboard.press(character)
        expect(calm.locator("#cell")).to_contain_text(f"after “{character}”")
        painted(calm)
        widths.append(int(pixels(calm, "heat")[10, :, 3].astype(bool).sum()) // STEP)
    assert widths == [2, 3, 4]
    calm.keyboard.press("Backspace")
    expect(calm.locator("#cell")).to_contain_text("after “c”")
    painted(calm)
    assert int(pixels(calm, "heat")[10, :, 3].astype(bool).sum()) // STEP == 3


def test_columns_come_one_after_the_other(page: Page) -> None:
    page.get_by_role("link", name="Look inside").click()
    page.locator("#text").click()
    page.evaluate(
        """() => {
            window.widths = [];
            const extent = document.querySelector(".extent");
            new MutationObserver(() => widths.push(parseInt(
                extent.style.getPropertyValue("--extent")))).observe(extent, { attributes: true });
        }"""
    )
    page.keyboard.insert_text("a text that is pasted whole")
    while page.evaluate("widths.at(-1)") != 27 * STEP:
        page.wait_for_timeout(50)
    widths = page.evaluate("[...new Set(widths)]")
    assert widths == sorted(widths) and len(widths) > 10


def test_the_trace_passes_through_the_values(calm: Page) -> None:
    look(calm)
    calm.locator("#unit").fill("3")
    painted(calm)
    trace = pixels(calm, "trace").astype(int)
    middle, margin = (trace.shape[0] - 24) / 2, 10
    for t, character in enumerate(TEXT):
        value = column(t, character)[2] / 127
        y, x = middle - value * (middle - margin), (t + 0.5) * STEP
        near = trace[max(0, round(y) - 2) : round(y) + 2, round(x) - 2 : round(x) + 2, :3]
        distance = np.abs(near - np.array(LIGHT["high"])).sum(axis=-1).min()
        assert distance < 60, (t, value)  # the line's own colour, a little blurred
    far = trace[: int(middle) * 2, (len(TEXT) + 1) * STEP :, :3]
    assert np.abs(far - np.array(LIGHT["high"])).sum(axis=-1).min() > 100


def test_the_keyboard_chooses_unit_and_timestep(calm: Page) -> None:
    look(calm)
    calm.locator("#unit").fill("2")
    timeline = calm.get_by_role("slider", name="Unit")
    timeline.focus()
    steps = {
        "ArrowDown": (3, 9),
        "ArrowLeft": (3, 8),
        "ArrowLeft ": (3, 7),
        "ArrowUp": (2, 7),
        "ArrowRight": (2, 8),
        "End": (HIDDEN, 8),
        "ArrowDown ": (HIDDEN, 8),
        "Home": (1, 8),
        "PageDown": (HIDDEN, 8),
        "PageUp": (1, 8),
    }
    for key, (unit, timestep) in steps.items():
        calm.keyboard.press(key.strip())
        value = column(timestep - 1, TEXT[timestep - 1])[unit - 1] / 127
        said = f"{value:.2f}".replace("-", "−")
        expect(timeline).to_have_attribute("aria-valuenow", str(unit))
        reading = f"h = {said} after “{TEXT[timestep - 1]}”, timestep {timestep}"
        expect(timeline).to_have_attribute("aria-valuetext", f"{unit} of {HIDDEN}. {reading}")
        expect(calm.locator("#cell")).to_have_text(reading)
    assert calm.locator("#unit").input_value() == "1"


def test_a_click_chooses_a_cell(calm: Page) -> None:
    look(calm)
    height = calm.locator("#heat").bounding_box()["height"]
    calm.locator("#heat").click(position={"x": 4.5 * STEP, "y": 5.5 / HIDDEN * height})
    expect(calm.locator("#unit")).to_have_value("6")
    expect(calm.locator("#cell")).to_contain_text("after “q”, timestep 5")


def test_the_most_varied_unit_is_shown_first(calm: Page) -> None:
    look(calm)
    along = np.array([column(t, character) for t, character in enumerate(TEXT)])
    expect(calm.locator("#unit")).to_have_value(str(int(along.var(axis=0).argmax()) + 1))


def test_the_pictures_are_told_in_words(calm: Page) -> None:
    look(calm)
    calm.locator("#unit").fill("4")
    along = [column(t, character)[3] / 127 for t, character in enumerate(TEXT)]
    low, high = (along.index(edge(along)) for edge in (min, max))
    told = re.sub("−", "-", calm.locator("#activity").inner_text())
    assert told.startswith(f"{HIDDEN} units through {len(TEXT)} timesteps. Unit 4 is lowest, ")
    assert f"lowest, {along[low]:.2f} after" in told and f"at {low + 1}," in told
    assert f"highest, {along[high]:.2f} after" in told and told.endswith(f"at {high + 1}.")
    calm.get_by_text("The unit as a table").click()
    last = calm.locator("#values tbody td:last-child")
    expect(last).to_have_count(len(along))
    cells = last.all_inner_texts()
    assert [float(each.replace("−", "-")) for each in cells] == [round(each, 2) for each in along]


def test_states_are_sent_only_while_somebody_looks(page: Page, peer: Peer) -> None:
    page.keyboard.type("a")
    page.get_by_role("link", name="Look inside").click()
    expect(page.locator("#activity")).to_contain_text("1 timesteps")
    page.get_by_role("link", name="Generate").click()
    page.get_by_role("link", name="Look inside").click()
    heard: list[bool] = []
    for _ in range(50):
        page.wait_for_timeout(100)
        heard = [each["on"] for each in peer.heard if each["type"] == "hidden"]
        if len(heard) >= 3:
            break
    assert heard == [True, False, True]


def test_a_long_text_scrolls_and_the_newest_stays_in_sight(calm: Page) -> None:
    look(calm, "x" * 200)
    scrolled = "[timeline.scrollLeft, timeline.scrollWidth - timeline.clientWidth]"
    left, most = calm.evaluate(scrolled)
    assert most > 0 and abs(left - most) <= 1
    calm.evaluate("timeline.scrollLeft = 300")
    painted(calm)
    assert pixels(calm, "heat")[:, :, 3].all()  # whatever is in sight is painted
    calm.locator("#text").press("End")
    calm.keyboard.press("y")
    expect(calm.locator("#cell")).to_contain_text("timestep 201")
    painted(calm)
    assert calm.evaluate("timeline.scrollLeft") == 300  # whoever looks back is left in peace


def test_the_pictures_come_back_after_the_line_was_cut(calm: Page, peer: Peer) -> None:
    look(calm)
    before = pixels(calm, "heat")
    peer.close(1001)
    calm.wait_for_selector("[data-link=waiting]")
    calm.get_by_role("button", name="Try now").click()
    calm.wait_for_selector("[data-link=started]")
    painted(calm)
    assert np.array_equal(pixels(calm, "heat"), before)
