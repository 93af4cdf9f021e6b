"""The line to the server: lost, refused, resting, back; and the session that survives it."""

import json
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from page.peer import Peer
from playwright.sync_api import Page, WebSocketRoute, expect

LOADED = "[data-link=started]"


def cut(page: Page, peer: Peer, code: int = 1001) -> None:
    """Close the line, and let nobody back in."""
    peer.on_connect = lambda socket: socket.close(code=code)
    peer.close(code)
    page.wait_for_selector(f"{LOADED} >> nth=0", state="detached")


def text_of(page: Page) -> str:
    return page.locator("#text").input_value()


def settled(page: Page) -> None:
    expect(page.locator("#suggestions")).to_have_attribute("aria-busy", "false")


def test_loading_is_shown(open_page: Callable[..., Page], peer: Peer) -> None:
    peer.on_connect = lambda socket: None  # accepts, and says nothing
    page = open_page(peer=peer)
    expect(page.locator("#suggestions button:disabled")).to_have_count(3)
    expect(page.locator("#model-facts")).to_be_empty()
    assert page.locator("#trouble").is_hidden()


def test_away_is_said_and_typing_goes_on(page: Page, peer: Peer) -> None:
    page.keyboard.type("the ki")
    settled(page)
    cut(page, peer)
    expect(page.locator("#link")).to_have_text("Not connected")
    expect(page.get_by_role("alert")).to_contain_text("The server is away")
    page.keyboard.type("ng!")
    assert text_of(page) == "the king!"
    remedy = page.get_by_role("button", name="Try now")
    remedy.click(trial=True)
    peer.on_connect = None
    remedy.evaluate("button => button.click()")  # at once: on a busy machine it is back by itself
    page.wait_for_selector(LOADED)
    expect(page.locator("#trouble")).to_be_hidden()
    settled(page)
    assert peer.sessions == {"session-1": ("the king!", 8)}  # the same session, what was missing
    assert peer.edits()[-1] == {"type": "edit", "number": 8, "keep": 6, "insert": "ng!"}


def test_it_comes_back_by_itself_later_and_later(page: Page, peer: Peer) -> None:
    times: list[float] = []

    def refuse(socket: WebSocketRoute) -> None:
        times.append(time.monotonic())
        socket.close(code=1001)

    peer.on_connect = refuse
    peer.close(1001)
    while len(times) < 3:
        page.wait_for_timeout(100)
    waits = [after - before for before, after in pairwise(times)]
    assert waits[0] > 0.75 and waits[1] > 1.55  # 1 and 2 s, each give or take a fifth
    peer.on_connect = None
    page.wait_for_selector(LOADED)


def test_a_reload_restores_the_session(page: Page, peer: Peer) -> None:
    page.keyboard.type("the ki")
    settled(page)
    page.keyboard.press("Tab")
    settled(page)
    figures = [page.locator(f"#{each}").inner_text() for each in ("savings", "pressed", "bits")]
    tints = page.locator("#tint").inner_html()
    page.reload()
    expect(page.locator("#text")).to_have_value("the king ")
    page.wait_for_selector(LOADED)
    settled(page)
    assert page.locator("#tint").inner_html() == tints
    assert [page.locator(f"#{each}").inner_text() for each in ("savings", "pressed", "bits")] == (
        figures
    )
    assert list(peer.sessions) == ["session-1"]
    page.keyboard.press("q")
    settled(page)
    assert peer.text() == "the king q"


def test_nothing_typed_stays_in_the_browser(page: Page) -> None:
    page.keyboard.type("secret")
    settled(page)
    kept = page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }])")
    assert "secret" not in kept
    assert json.loads(kept) == [{}, {"elman.session": "session-1", "elman.keys": "6"}]


def test_a_lost_session_is_begun_again(page: Page, peer: Peer, complaints: list[str]) -> None:
    page.keyboard.type("the ki")
    settled(page)
    peer.sessions.clear()
    peer.close(1012)
    expect(page.get_by_role("alert")).to_contain_text("[session]")
    page.get_by_role("button", name="Begin a new session").click()
    page.wait_for_selector(LOADED)
    settled(page)
    assert peer.sessions == {"session-1": ("the ki", 1)}
    expect(page.locator("#trouble")).to_be_hidden()


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (1012, "waiting", "starts again"),
        (1013, "waiting", "full"),
        (4000, "resting", "Type to go on"),
        (4001, "resting", "Type to begin a new one"),
        (1008, "refused", "refused"),
        (4002, "taken", "in another window"),
    ],
)
def test_every_closing_is_explained(
    page: Page, peer: Peer, code: int, state: str, words: str
) -> None:
    cut(page, peer, code)
    page.wait_for_selector(f"[data-link={state}]")
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.locator("#trouble-remedy")).to_be_visible()


def test_resting_ends_with_the_next_key(page: Page, peer: Peer) -> None:
    page.keyboard.type("th")
    settled(page)
    peer.close(4000)
    page.wait_for_selector("[data-link=resting]")
    page.wait_for_timeout(1500)
    assert len(peer.sockets) == 1  # an idle page does not call
    page.keyboard.type("e")
    page.wait_for_selector(LOADED)
    settled(page)
    assert peer.sessions == {"session-1": ("the", 4)}


def test_another_window_takes_the_session_and_gives_it_back(page: Page, peer: Peer) -> None:
    page.keyboard.type("the")
    settled(page)
    peer.close(4002)
    page.wait_for_selector("[data-link=taken]")
    assert not page.locator("#text").is_editable()
    peer.sessions["session-1"] = "the kingdom", 9  # what the other window has made of it
    page.get_by_role("button", name="Go on here").click()
    expect(page.locator("#text")).to_have_value("the kingdom")
    assert page.locator("#text").is_editable()


def test_what_the_server_refuses_is_shown_in_its_words(page: Page, peer: Peer) -> None:
    line = "[session] a text must have at most 20,000 characters, found 20,001; reset"
    peer.sockets[-1].send(json.dumps({"type": "error", "error": line}))
    expect(page.get_by_role("alert")).to_have_text(line)


def test_an_unknown_browser_is_told_where_to_go(
    open_page: Callable[..., Page], peer: Peer, complaints: list[str]
) -> None:
    peer.status = 403
    page = open_page(peer=peer)
    expect(page.get_by_role("alert")).to_contain_text("open the address that elman serve printed")
    assert all("403" in each for each in complaints)
    complaints.clear()


def test_late_answers_to_old_edits_do_not_disturb(page: Page, peer: Peer) -> None:
    peer.silent = True
    page.keyboard.type("abc")
    page.keyboard.press("Backspace")
    page.keyboard.type("d")
    page.wait_for_timeout(200)
    numbers = {each["insert"]: each["number"] for each in peer.edits() if each["insert"]}
    socket = peer.sockets[-1]
    for number, start, nats in (
        (numbers["a"], 0, [4.0]),
        (numbers["b"], 1, [4.0]),
        (numbers["c"], 2, [0.1]),  # of the c that is no longer there
    ):
        message = {"type": "surprise", "number": number, "from": start, "nats": nats}
        socket.send(json.dumps(message))
    expect(page.locator("#tint .s3")).to_have_text("ab")
    socket.send(json.dumps({"type": "surprise", "number": numbers["d"], "from": 2, "nats": [6.0]}))
    expect(page.locator("#tint .s4")).to_have_text("d")
