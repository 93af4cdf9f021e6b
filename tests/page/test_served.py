"""The page on the real thing: ``elman serve`` in a process of its own, and a small model."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from server.serving import Server, alone, write_model

from elman.runtime import TextModel, load

TEXT = "a tab, é漢😀 Bad cab"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("page") / "small", seed=3)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> TextModel:
    loaded = load(model_folder)
    assert isinstance(loaded, TextModel)
    return loaded


@pytest.fixture(scope="module")
def served(model_folder: Path) -> Iterator[Server]:
    server = Server(model_folder, "--rate", 10_000)
    yield server
    server.close()


@pytest.fixture
def live(open_page: Callable[..., Page], served: Server) -> Page:
    return let_in(open_page, served)


def let_in(open_page: Callable[..., Page], served: Server) -> Page:
    """The page, let in by its cookie."""
    page = open_page("about:blank")
    address = f"http://127.0.0.1:{served.port}"
    cookie = cookie_of(served)
    page.context.add_cookies([{"url": address, "httpOnly": True, "sameSite": "Strict", **cookie}])
    page.goto(address)
    page.wait_for_selector("[data-link=started]")
    page.locator("#text").focus()  # the browser does so too, but when it comes to it
    return page


_cookies: dict[int, dict[str, str]] = {}


def cookie_of(served: Server) -> dict[str, str]:
    """What the address gave that works once."""
    if served.port not in _cookies:
        query = served.once.partition("/?")[2]
        answer = served.ask("GET", f"/?{query}", token=False)
        name, value = answer.getheader("set-cookie").partition(";")[0].split("=")
        _cookies[served.port] = {"name": name, "value": value}
    return _cookies[served.port]


def settled(page: Page) -> None:
    expect(page.locator("#suggestions")).to_have_attribute("aria-busy", "false")


def offered(page: Page) -> list[str]:
    return page.locator("#suggestions .word").all_inner_texts()


def wanted(model: TextModel, text: str) -> list[str]:
    """The words a stream of its own would offer."""
    stream = model.stream()
    stream.feed(text)
    found = stream.suggest(3)
    return [each.text for each in found.completions or found.next_words]


def test_the_printed_address_opens_the_page(
    open_page: Callable[..., Page], model_folder: Path
) -> None:
    server = Server(model_folder)
    try:
        page = open_page(server.once)
        page.wait_for_selector("[data-link=started]")
        page.locator("#text").focus()
        expect(page.locator("#model-facts")).to_contain_text(
            "small · 1 × 37 LSTM · level character"
        )
        assert page.url == f"http://127.0.0.1:{server.port}/"  # the token has gone
        (cookie,) = page.context.cookies()
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
        page.keyboard.type("ab")
        settled(page)
        assert offered(page)
        page.close()
    finally:
        server.close()


def test_every_key_brings_the_models_words(live: Page, model: TextModel) -> None:
    seen = []
    for end in range(1, 9):
        live.keyboard.type(TEXT[end - 1])
        settled(live)
        assert offered(live) == wanted(model, TEXT[:end])
        seen.append(tuple(offered(live)))
    assert len(set(seen)) == 8


def test_tab_takes_the_models_word(live: Page, model: TextModel) -> None:
    live.keyboard.type("a ta")
    settled(live)
    (best, *_) = wanted(model, "a ta")
    live.keyboard.press("Tab")
    expect(live.locator("#text")).to_have_value(f"a {best} ")
    settled(live)
    assert offered(live) == wanted(model, f"a {best} ")


def test_surprise_is_the_models(live: Page, model: TextModel) -> None:
    live.keyboard.insert_text(TEXT)
    settled(live)
    nats, _ = alone(model, TEXT)
    bits = sum(nats) / len(TEXT) / math.log(2)
    expect(live.locator("#bits")).to_have_text(f"{bits:.2f}")
    runs = live.locator("#tint span").evaluate_all(
        "(all) => all.map((each) => [each.textContent, each.className])"
    )
    levels = [name for text, name in runs for _ in text]
    limits = [1, 3, 5, 7]
    counted = [sum(each / math.log(2) > limit for limit in limits) for each in nats]
    assert levels == [f"s{level}" if level else "" for level in counted]


def test_the_heat_map_shows_the_models_states(live: Page, model: TextModel) -> None:
    live.get_by_role("link", name="Look inside").click()
    live.locator("#text").click()
    before = live.evaluate("heat.toDataURL()")
    live.keyboard.insert_text(TEXT)
    expect(live.locator("#activity")).to_contain_text(f"37 units through {len(TEXT)} timesteps")
    live.wait_for_function("before => heat.toDataURL() !== before", arg=before)
    live.get_by_label("Unit", exact=True).first.fill("30")
    live.get_by_text("The unit as a table").click()
    values = live.locator("#values tbody td:last-child")
    expect(values).to_have_count(len(TEXT))
    shown = values.all_inner_texts()
    stream, states = model.stream(), []
    for character in TEXT:
        stream.feed(character)
        states.append(round(127 * float(stream.hidden()[29])) / 127)
    for text, state in zip(shown, states, strict=True):
        assert abs(float(text.replace("−", "-")) - state) <= 0.006


@pytest.fixture
def slow(open_page: Callable[..., Page], tmp_path: Path) -> Iterator[Page]:
    """A model so large that 10,000 characters take a second or two, and can be stopped."""
    server = Server(write_model(tmp_path / "large", seed=3, hidden=512), "--rate", 10_000)
    page = let_in(open_page, server)
    yield page
    page.close()
    server.close()


def test_text_streams_in_and_stops(slow: Page) -> None:
    slow.get_by_role("link", name="Generate").click()
    slow.get_by_label("Prompt").fill("a b")
    slow.get_by_label("Length").fill("10000")
    slow.get_by_role("button", name="Write").click()
    written = slow.locator("#written-text")
    lengths: list[int] = []
    while len(set(lengths)) < 3:
        lengths.append(len(written.text_content() or ""))
        slow.wait_for_timeout(20)
    slow.get_by_role("button", name="Stop").click()
    expect(slow.locator("#progress")).to_contain_text("Stopped after")
    stopped = written.text_content() or ""
    assert stopped.startswith("a b") and 3 < len(stopped) < 10_003
    slow.wait_for_timeout(300)
    assert written.text_content() == stopped
    expect(slow.get_by_role("button", name="Copy")).to_be_enabled()


def test_text_of_the_whole_length(live: Page) -> None:
    live.get_by_role("link", name="Generate").click()
    live.get_by_label("Length").fill("200")
    live.get_by_label("Prompt").fill("cab ")
    live.keyboard.press("Tab")
    live.get_by_role("button", name="Write").press("Enter")
    expect(live.locator("#progress")).to_contain_text("200 characters in")
    assert len(live.locator("#written-text").text_content() or "") == 204


def test_a_reload_restores_the_session(live: Page, model: TextModel) -> None:
    live.keyboard.type("a ta")
    settled(live)
    tints = live.locator("#tint").inner_html()
    live.reload()
    expect(live.locator("#text")).to_have_value("a ta")
    settled(live)
    assert live.locator("#tint").inner_html() == tints
    assert offered(live) == wanted(model, "a ta")
    live.keyboard.press("b")
    settled(live)
    assert offered(live) == wanted(model, "a tab")


def test_the_page_outlives_the_server(
    open_page: Callable[..., Page],
    model_folder: Path,
    model: TextModel,
    complaints: list[str],
) -> None:
    first = Server(model_folder)
    page = open_page(first.once)
    page.wait_for_selector("[data-link=started]")
    page.locator("#text").focus()
    page.keyboard.type("a ta")
    settled(page)
    first.stop()
    first.close()
    expect(page.locator("#link")).to_have_text("Not connected")
    expect(page.get_by_role("alert")).to_be_visible()
    page.keyboard.type("b")
    expect(page.locator("#text")).to_have_value("a tab")
    second = Server(model_folder, "--port", first.port)  # the same token: it knows the browser
    try:
        page.wait_for_selector("[data-link=started]")
        expect(page.get_by_role("alert")).to_be_hidden()
        settled(page)
        assert page.locator("#text").input_value() == "a tab"
        assert offered(page) == wanted(model, "a tab")
        page.close()
    finally:
        second.close()
        complaints.clear()  # the browser's own words about a server that was not there


def test_two_windows_of_one_session(live: Page) -> None:
    live.keyboard.type("a ta")
    settled(live)
    with live.expect_popup() as opened:
        live.evaluate("open(location.href)")  # as "Duplicate tab" does, with what it remembers
    second = opened.value
    expect(second.locator("#text")).to_have_value("a ta")
    live.wait_for_selector("[data-link=taken]")
    second.locator("#text").press("End")
    second.keyboard.type("b")
    settled(second)
    live.get_by_role("button", name="Go on here").click()
    expect(live.locator("#text")).to_have_value("a tab")
    second.wait_for_selector("[data-link=taken]")
