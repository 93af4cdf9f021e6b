"""For every eye, hand and screen: axe, keyboard alone, 360 pixels, two themes, little motion."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from page.peer import Peer
from playwright.sync_api import Page, expect

AXE = "axe-core@4.14.1"
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": PHONE | {"device_scale_factor": 2},
}


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, fetched by npm; skips where it cannot be had."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("axe-core cannot be had: npm is not installed")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "pack", AXE, "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    packed = next(iter(folder.glob("*.tgz")), None)
    if done.returncode or not packed:
        pytest.skip(f"{AXE} cannot be had: npm pack failed: {done.stderr.strip()[-200:]}")
    with tarfile.open(packed) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def views(page: Page) -> Iterator[str]:
    """Open one after the other, with something in each: typed text, open tables."""
    page.wait_for_selector("[data-link=started]")
    page.locator("#text").click()
    page.keyboard.type("the king, and qüeen 日本 now")
    expect(page.locator("#tint .s4").first).to_be_attached()
    page.get_by_text("Surprise word by word").click()
    yield "predict"
    page.get_by_role("link", name="Look inside").click()
    expect(page.locator("#activity")).to_contain_text("timesteps")
    page.get_by_text("The unit as a table").click()
    yield "inside"
    page.get_by_role("link", name="Generate").click()
    yield "generate"


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing(
    open_page: Callable[..., Page], peer: Peer, axe: str, pictures: Path, look: str
) -> None:
    peer.models.append(peer.models[0] | {"name": "other"})
    page = open_page(peer=peer, **LOOKS[look])
    page.evaluate(axe)
    for view in views(page):
        found = page.evaluate("axe.run()")
        assert len(found["passes"]) > 15
        broken = [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]]
        assert (view, broken) == (view, [])
        shot = pictures / f"{look}-{view}.png"
        page.screenshot(path=shot, full_page=True)
        assert shot.stat().st_size > 10_000


def test_axe_finds_nothing_where_there_is_trouble(page: Page, peer: Peer, axe: str) -> None:
    page.keyboard.type("the")
    peer.on_connect = lambda socket: socket.close(code=1013)
    peer.close(1013)
    expect(page.get_by_role("alert")).to_contain_text("full")
    page.evaluate(axe)
    assert page.evaluate("axe.run()")["violations"] == []


def contrast(first: list[float], second: list[float]) -> float:
    """WCAG 2.2's ratio of two sRGB colours."""

    def luminance(colour: list[float]) -> float:
        parts = [each / 255 for each in colour]
        linear = [e / 12.92 if e <= 0.04045 else ((e + 0.055) / 1.055) ** 2.4 for e in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_every_ground(
    open_page: Callable[..., Page], peer: Peer, scheme: str
) -> None:
    """axe does not see the tints, for they lie behind another element."""
    page = open_page(peer=peer, color_scheme=scheme)
    colours = page.evaluate(
        """() => {
            const probe = document.body.appendChild(document.createElement("i"));
            const names = "paper sheet wash s1 s2 s3 s4 ink quiet accent on-accent".split(" ");
            return Object.fromEntries(names.map((name) => {
                probe.style.color = `var(--${name})`;
                return [name, getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number)];
            }));
        }"""
    )
    grounds = ["paper", "sheet", "wash", "s1", "s2", "s3", "s4"]
    pairs = [("ink", ground) for ground in grounds] + [("on-accent", "accent")]
    pairs += [(text, ground) for text in ("quiet", "accent") for ground in ("paper", "sheet")]
    for text, ground in pairs:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    levels = [sum(colours[each]) for each in ("sheet", "s1", "s2", "s3", "s4")]
    assert levels == sorted(levels, reverse=scheme == "light")  # more surprise, further away


def test_the_keyboard_alone_goes_everywhere(page: Page) -> None:
    page.locator(".skip").focus()  # the page begins in the text box
    met = []
    for _ in range(40):
        page.keyboard.press("Tab")
        met.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        if met[-1] == "text":
            page.keyboard.press("Escape")
        if met[-1] == "clear":
            break
    wanted = ["Predict", "Look inside", "Generate", "theme", "text", "clear"]
    assert [each for each in met if each in wanted] == wanted


def test_the_skip_link_leads_to_the_view(page: Page) -> None:
    page.get_by_role("link", name="Look inside").click()
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    expect(page.locator("#inside-view")).to_be_visible()


def test_nothing_sticks_out(page: Page) -> None:
    for view in views(page):
        for width in (320, 360, 768, 1920):
            page.set_viewport_size({"width": width, "height": 740})
            right = page.evaluate(
                """() => Math.max(document.documentElement.scrollWidth, ...Array.from(
                    document.querySelectorAll("button, input, textarea, canvas, dd, summary"),
                    (each) => each.getBoundingClientRect().right))"""
            )
            assert right <= width, view


def test_the_theme_follows_the_system_until_it_is_chosen(
    open_page: Callable[..., Page], peer: Peer
) -> None:
    page = open_page(peer=peer, color_scheme="light")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ground)
    assert light != dark
    button = page.get_by_role("button", name="Dark")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert page.evaluate(ground) == light
    page.reload()
    assert page.evaluate(ground) == light
    assert json.loads(page.evaluate("JSON.stringify(localStorage)")) == {"elman.theme": "light"}


def test_little_motion_where_it_is_asked_for(open_page: Callable[..., Page], peer: Peer) -> None:
    page = open_page(peer=peer, reduced_motion="reduce")
    page.get_by_role("link", name="Look inside").click()
    page.locator("#text").click()
    page.keyboard.insert_text("x" * 90)
    expect(page.locator("#activity")).to_contain_text("90 timesteps")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    extent = page.locator(".extent").evaluate("(each) => each.style.getPropertyValue('--extent')")
    assert extent == "1080px"  # all at once
    assert page.evaluate("document.getAnimations().length") == 0
