"""HTTP: what is answered, and what is refused in one line."""

import json
import time

import pytest
from server.serving import serving, write_model

from elman import __version__


def test_models(server, model):
    fact = {"name": "small", "task": "text", "cell": "lstm", "hidden": 37, "layers": 1}
    fact |= {"level": "character", "parameters": model.parameters}
    assert server.json("GET", "/v1/models") == (200, {"models": [fact]})


@pytest.mark.parametrize("text", ["", "the ", "the qu", "漢", "caf\u0065\u0301 ", "a" * 3000])
def test_complete(server, model, text):
    status, found = server.json("POST", "/v1/complete", {"text": text, "n": 2})
    stream = model.stream()
    stream.feed(text)
    expected = stream.suggest(2)
    assert status == 200
    for kind in ("completions", "next_words"):
        held = [(each.text, each.probability) for each in getattr(expected, kind)]
        assert [(each["text"], each["probability"]) for each in found[kind]] == held


def events(data):
    blocks = data.decode().removesuffix("\n\n").split("\n\n")
    pairs = [block.split("\n") for block in blocks]
    return [(name.removeprefix("event: "), json.loads(body[6:])) for name, body in pairs]


def test_generate(server, model):
    asked = {"prompt": "the ", "length": 300, "temperature": 0.7, "seed": 5, "top_k": 20}
    answer = server.ask("POST", "/v1/generate", asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *texts, done = events(answer.data)
    stream = model.stream()
    stream.feed("the ")
    expected = "".join(stream.generate(300, temperature=0.7, seed=5, top_k=20))
    assert "".join(body["text"] for name, body in texts) == expected
    assert {name for name, _ in texts} == {"text"}
    assert done == ("done", {"characters": 300})


def test_generate_stops_when_nobody_listens(server):
    body = json.dumps({"length": 20_000}).encode()
    head = (
        f"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    before = server.metric("elman_characters_total")
    held = server.raw(head.encode() + body)
    while b"event: text" not in held.recv(1 << 16):
        pass
    held.close()
    time.sleep(0.5)
    after = server.metric("elman_characters_total")
    time.sleep(0.5)
    assert before < after == server.metric("elman_characters_total") < before + 20_000


WRONG = {
    "no JSON": (b"{", 400, "must be JSON"),
    "a list": ([], 400, "must be a JSON object"),
    "no text": ({}, 400, "text must be given"),
    "text a number": ({"text": 1}, 400, "text must be a string, found 1"),
    "text too long": ({"text": "a" * 20_001}, 400, "from 0 to 20,000 characters, found 20,001"),
    "half a pair": (b'{"text":"\\udc00"}', 400, "not Unicode"),
    "n of 0": ({"text": "", "n": 0}, 400, "n must have from 1 to 20, found 0"),
    "n of 10^9": ({"text": "", "n": 10**9}, 400, "found 1,000,000,000"),
    "n of 10^4000": (b'{"text":"","n":1' + b"0" * 4000 + b"}", 400, "n must have from 1 to 20"),
    "n of 10^9999": (b'{"text":"","n":1' + b"0" * 9999 + b"}", 400, "must be JSON"),
    "n a half": ({"text": "", "n": 1.5}, 400, "must be an integer, found 1.5"),
    "n true": ({"text": "", "n": True}, 400, "must be an integer, found True"),
    "infinity": (b'{"text":"","n":Infinity}', 400, "must be JSON"),
    "a member too many": ({"text": "", "m": 1}, 400, "members are model, text, n, found 'm'"),
    "unknown model": ({"text": "", "model": "x"}, 404, "model must be one of small"),
    "nested": (b"[" * 500_000, 400, "must be JSON"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests(server, case):
    body, status, line = WRONG[case]
    headers = {"Content-Type": "application/json"}
    found, said = server.json("POST", "/v1/complete", body, headers=headers)
    assert found == status
    assert set(said) == {"error"}
    assert line in said["error"] and "\n" not in said["error"] and said["error"][0] == "["


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("length", 10**9),
        ("length", 0),
        ("temperature", 100.1),
        ("temperature", -0.1),
        ("top_k", -1),
        ("top_p", 0),
        ("top_p", 1.01),
        ("seed", -1),
        ("seed", 2**53),
        ("prompt", "a" * 20_001),
    ],
)
def test_numbers_out_of_bounds(server, member, value):
    status, said = server.json("POST", "/v1/generate", {member: value})
    assert status == 400
    assert said["error"].startswith(f"[generate] {member} must have from ")


def test_a_form_of_another_site_is_no_request(server):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = server.ask("POST", "/v1/complete", b'{"text":""}', {"Content-Type": kind})
        assert answer.status == 415


def test_other_paths_and_methods(server):
    assert server.json("GET", "/v2/models")[0] == 404
    assert server.json("GET", "/v1/complete")[0] == 405
    assert server.json("DELETE", "/v1/models")[0] == 405
    assert server.json("GET", "/page/../app.py")[0] == 404
    assert server.json("GET", "/page/%2e%2e/app.py")[0] == 404
    assert server.json("GET", "/page//etc/passwd")[0] == 404


def test_openapi_is_the_table(server):
    status, found = server.json("GET", "/openapi.json")
    assert status == 200
    assert found["info"]["version"] == __version__
    body = found["paths"]["/v1/generate"]["post"]["requestBody"]["content"]["application/json"]
    length = body["schema"]["properties"]["length"]
    assert (length["type"], length["minimum"], length["maximum"]) == ("integer", 1, 20_000)
    assert body["schema"]["additionalProperties"] is False
    for value, status in ((length["minimum"], 200), (length["minimum"] - 1, 400)):
        assert server.ask("POST", "/v1/generate", {"length": value}).status == status
    edit = found["paths"]["/v1/session"]["get"]["x-messages"]["edit"]
    assert edit["required"] == ["type", "number", "keep", "insert"]
    assert set(found["paths"]) == {
        "/healthz", "/metrics", "/v1/models", "/v1/complete", "/v1/generate", "/v1/session",
    }  # fmt: skip


def test_several_models_by_name(folder, tmp_path):
    other = write_model(tmp_path / "other", seed=8, hidden=5)
    with serving(folder, other) as server:
        _, found = server.json("GET", "/v1/models")
        assert [each["name"] for each in found["models"]] == ["small", "other"]
        first = server.json("POST", "/v1/complete", {"text": "the "})
        assert first == server.json("POST", "/v1/complete", {"text": "the ", "model": "small"})
        assert first != server.json("POST", "/v1/complete", {"text": "the ", "model": "other"})
        live = server.session(model="other")
        assert (live.started["model"], live.started["hidden_size"]) == ("other", 5)
        again = server.session(session=live.id)
        assert again.started["model"] == "other"


def test_rate_of_an_address(folder):
    with serving(folder, "--rate", 5) as server:
        found = [server.ask("GET", "/v1/models").status for _ in range(40)]
        assert found[:10] == [200] * 10
        assert 429 in found
        assert server.ask("GET", "/healthz").status == 200


def test_requests_at_a_time(folder):
    with serving(folder, "--requests", 1) as server:
        held = server.raw(
            f"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}"
            "\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
            '{"length":20000}'.encode()
        )
        held.recv(1)
        status, said = server.json("POST", "/v1/complete", {"text": ""})
        assert status == 503
        assert "at most 1 requests" in said["error"] or "busy" in said["error"]
        held.close()


def test_metrics(server, model):
    answer = server.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    before = server.metric("elman_edits_total"), server.metric("elman_suggestion_seconds_count")
    live = server.session()
    live.type("abc")
    live.suggested()
    live.close()
    assert server.metric("elman_edits_total") == before[0] + 1
    assert server.metric("elman_suggestion_seconds_count") == before[1] + 1
    assert server.metric("process_resident_memory_bytes") > 1 << 20
