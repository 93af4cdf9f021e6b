"""Generated text as it comes in; what the page reads of an event stream. See also test_served."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

READ = """async ([bytes, size]) => {
    const { events } = await import("/page/events.js");
    const parts = [];
    for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size));
    const body = new ReadableStream({
        pull(controller) {
            if (parts.length) controller.enqueue(new Uint8Array(parts.shift()));
            else controller.close();
        },
    });
    const found = [];
    for await (const event of events(body)) found.push([event.type, event.data]);
    return found;
}"""


def event(kind: str, **data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


@pytest.fixture
def answer(page: Page) -> Callable[..., list[dict[str, Any]]]:
    """Answer requests for text with this; what was asked is kept."""
    asked: list[dict[str, Any]] = []

    def answer_(body: str, status: int = 200, kind: str = "text/event-stream") -> list[Any]:
        def serve(route: Route) -> None:
            asked.append(json.loads(route.request.post_data or ""))
            route.fulfill(status=status, body=body, content_type=kind)

        page.route("**/v1/generate", serve)
        return asked

    page.get_by_role("link", name="Generate").click()
    return answer_


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_cut_anywhere_are_read_whole(page: Page, size: int) -> None:
    stream = (
        event("text", text="日本 \U0001f600")
        + ": a comment\n\n"
        + "data: one\r\ndata: two\r\n\r\n"
        + "event:close\ndata:no space\n\n"
        + "data: cut off"
    )
    found = page.evaluate(READ, [list(stream.encode()), size])
    assert found == [
        ["text", '{"text": "日本 \U0001f600"}'],
        ["message", "one\ntwo"],
        ["close", "no space"],
    ]


def test_text_comes_after_its_prompt(page: Page, answer: Callable[..., list[Any]]) -> None:
    asked = answer(event("text", text="upon a ") + event("text", text="time \U0001f600"))
    page.get_by_label("Prompt").fill("Once ")
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Length").fill("13")
    page.get_by_role("button", name="Write").click()
    expect(page.locator("#written-text")).to_have_text("Once upon a time \U0001f600")
    expect(page.locator("#progress")).to_have_text("The server went away after 13 characters.")
    (request,) = asked
    assert 0 <= request.pop("seed") < 2**32
    assert request == {"model": "small", "prompt": "Once ", "temperature": 0.5, "length": 13}


def test_every_time_another_text(page: Page, answer: Callable[..., list[Any]]) -> None:
    asked = answer(event("text", text="x") + event("done", characters=1))
    for _ in range(2):
        page.get_by_role("button", name="Write").click()
        expect(page.locator("#progress")).to_contain_text("1 character in")
        page.locator("#progress").evaluate("(each) => { each.textContent = ''; }")
    assert asked[0]["seed"] != asked[1]["seed"]


def test_what_was_written_is_copied(page: Page, answer: Callable[..., list[Any]]) -> None:
    answer(event("text", text="long ago\n") + event("done", characters=9))
    expect(page.get_by_role("button", name="Copy")).to_be_disabled()
    page.get_by_label("Prompt").fill("So ")
    page.get_by_role("button", name="Write").click()
    expect(page.locator("#progress")).to_contain_text("9 characters in")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#progress")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "So long ago\n"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ('{"error":"[generate] length must be small, found 9; ask for less"}', 400, "[generate]"),
        ("<h1>Bad gateway</h1>", 502, "The server answered 502; try again."),
        ("", 401, "open the address that elman serve printed"),
    ],
)
def test_refusals_are_shown(
    page: Page,
    answer: Callable[..., list[Any]],
    complaints: list[str],
    body: str,
    status: int,
    said: str,
) -> None:
    answer(body, status, "application/json")
    page.get_by_role("button", name="Write").click()
    expect(page.locator("#progress")).to_contain_text(said)
    expect(page.get_by_role("button", name="Write")).to_be_visible()
    assert all(str(status) in each for each in complaints)
    complaints.clear()


def test_an_error_within_the_text_is_shown(page: Page, answer: Callable[..., list[Any]]) -> None:
    line = "[generate] the server is stopping; try again soon"
    answer(event("text", text="half a") + event("error", error=line))
    page.get_by_role("button", name="Write").click()
    expect(page.locator("#progress")).to_have_text(line)
    expect(page.locator("#written-text")).to_have_text("half a")


def test_lengths_beyond_bounds_are_not_sent(page: Page, answer: Callable[..., list[Any]]) -> None:
    asked = answer(event("done", characters=0))
    page.get_by_label("Length").fill("0")
    page.get_by_role("button", name="Write").click()
    assert page.locator("#length:invalid").count() == 1
    assert asked == []
