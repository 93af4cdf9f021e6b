"""Debian's Chromium without a window, driven by Playwright; one browser for all tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page.peer import Peer, origin
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 30_000  # ms for anything to appear


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the console called an error, and what no script caught. Tests that cut the line clear
    the browser's own words about it."""
    return []


@pytest.fixture
def open_page(browser: Browser, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    """Open the page in a browser of its own; at the end nothing may have been complained of."""
    contexts = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.type}: {message.text} {message.location}")

    def open_(url: str = "", peer: Peer | None = None, **options: Any) -> Page:
        options.setdefault("viewport", {"width": 1100, "height": 900})
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        if peer:
            peer.attach(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        page.goto(url or origin())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def page(open_page: Callable[..., Page], peer: Peer) -> Page:
    """The page at the made-up server, connected."""
    opened = open_page(peer=peer)
    opened.wait_for_selector("[data-link=started]")
    opened.locator("#text").focus()  # the browser does so too, but when it comes to it
    return opened


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return tmp_path
