"""Host x Origin x token, over HTTP and WebSocket, on a real server; and the one-time address."""

import json
from http.client import HTTPResponse

import pytest
from server.serving import TOKEN, serving

from elman.errors import UsageError
from elman.server.access import LOOPBACK, Access, allowed_hosts

HOSTS = {
    "its own": "127.0.0.1:{port}",
    "by name": "localhost:{port}",
    "another port": "127.0.0.1:1",  # as through a tunnel
    "rebound": "evil.example:{port}",
    "a name that begins alike": "127.0.0.1.evil.example:{port}",
}
ORIGINS = {
    "none": None,
    "the Host": "http://{host}",
    "another site": "https://evil.example",
    "another port": "http://127.0.0.1:9",
    "null": "null",
}
TOKENS = ("none", "wrong", "bearer", "cookie")
MANNERS = ("GET", "POST", "WebSocket")
ALLOWED = ("its own", "by name", "another port")


def expected(manner, host, origin, token):
    """The status that the rules give, written down apart from the code."""
    if host not in ALLOWED or origin not in ("none", "the Host"):
        return 403
    if token in ("none", "wrong"):
        return 401
    if token == "cookie" and origin == "none" and manner != "GET":
        return 403
    return 101 if manner == "WebSocket" else 200


def ask(server, manner, headers):
    if manner == "WebSocket":
        return handshake(server, headers)
    path, body = ("/v1/models", None) if manner == "GET" else ("/v1/complete", {"text": "a"})
    answer = server.ask(manner, path, body, headers, token=False)
    if answer.status != 200:
        assert set(json.loads(answer.data)) == {"error"}
    return answer.status


def handshake(server, headers):
    """The status of an upgrade with exactly these headers; a client would add its own Host."""
    sent = {"Host": f"127.0.0.1:{server.port}"} | headers
    sent |= {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    sent |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    with server.raw(f"GET /v1/session HTTP/1.1\r\n{lines}\r\n".encode()) as held:
        answer = HTTPResponse(held)
        answer.begin()
        if answer.status != 101:
            assert set(json.loads(answer.read())) == {"error"}
        answer.close()
    return answer.status


@pytest.fixture(scope="module")
def cookie(server):
    answer = server.ask("GET", server.once.partition(str(server.port))[2], token=False)
    assert answer.status == 303 and answer.headers["Location"] == "/"
    set_cookie = answer.headers["Set-Cookie"]
    assert set_cookie.startswith(f"elman-{server.port}=")
    attributes = {"HttpOnly", "SameSite=strict", "Path=/"}
    assert set(set_cookie.split("; ")[1:]) == attributes  # no Secure: this is http
    return set_cookie.partition(";")[0]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("manner", MANNERS)
def test_matrix(server, cookie, manner, host, origin, token):
    headers = {"Host": HOSTS[host].format(port=server.port)}
    if ORIGINS[origin]:
        headers["Origin"] = ORIGINS[origin].format(host=headers["Host"])
    headers |= {
        "none": {},
        "wrong": {"Authorization": "Bearer another-token-of-some-length"},
        "bearer": {"Authorization": f"Bearer {TOKEN}"},
        "cookie": {"Cookie": cookie},
    }[token]
    assert ask(server, manner, headers) == expected(manner, host, origin, token)


def test_the_address_works_once(server, cookie):
    path = server.once.partition(str(server.port))[2]
    status, body = server.json("GET", path, token=False)
    assert status == 401
    assert "works once" in body["error"]
    status, _ = server.json("GET", "/?token=guessed", token=False)
    assert status == 401
    answer = server.ask("GET", "/v1/models", headers={"Cookie": cookie}, token=False)
    assert answer.status == 200


def test_the_address_is_spent_by_its_host_alone(folder):
    with serving(folder) as server:
        path = server.once.partition(str(server.port))[2]
        rebound = {"Host": "evil.example"}
        assert server.ask("GET", path, headers=rebound, token=False).status == 403
        assert server.ask("HEAD", path, token=False).status == 401
        assert server.ask("GET", path, token=False).status == 303


def test_behind_https_the_cookie_is_for_https_alone(folder):
    with serving(folder) as server:
        path = server.once.partition(str(server.port))[2]
        answer = server.ask("GET", path, headers={"X-Forwarded-Proto": "https"}, token=False)
        attributes = {"HttpOnly", "SameSite=strict", "Path=/", "Secure"}
        assert set(answer.headers["Set-Cookie"].split("; ")[1:]) == attributes


def test_the_cookie_outlives_the_server_where_the_token_does(folder):
    def make(token):
        return Access(LOOPBACK, 80, token)

    assert make("a" * 20).cookie == make("a" * 20).cookie
    assert make("a" * 20).cookie != make("b" * 20).cookie
    assert make(None).cookie != make(None).cookie
    assert make("a" * 20).query != make("a" * 20).query


def test_only_health_needs_no_token(server):
    assert server.json("GET", "/healthz", token=False) == (200, {"status": "ok"})
    for path in ("/", "/page/main.js", "/metrics", "/openapi.json", "/v1/models", "/nothing"):
        assert server.ask("GET", path, token=False).status == 401


def test_without_token_host_and_origin_are_still_checked(folder):
    with serving(folder, "--no-token", token=None) as server:
        assert server.said[-1].endswith(f":{server.port}/")
        assert server.ask("GET", "/v1/models").status == 200
        assert server.ask("GET", "/v1/models", headers={"Host": "evil.example"}).status == 403
        assert ask(server, "WebSocket", {}) == 101
        assert ask(server, "WebSocket", {"Origin": "https://evil.example"}) == 403


HEADERS = {
    "content-security-policy": "default-src 'self'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/models", "/nothing", "/page/none.js"])
@pytest.mark.parametrize("token", [True, False])
def test_every_answer_has_the_headers(server, path, token):
    answer = server.ask("GET", path, token=token)
    for name, value in HEADERS.items():
        assert answer.headers[name].startswith(value)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["server"] is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "words.example.org"])
def test_other_machines_need_a_name(host):
    with pytest.raises(UsageError, match="--allowed-host"):
        allowed_hosts(host, [])
    assert allowed_hosts(host, ["words.example.org"]) == ("words.example.org",)


@pytest.mark.parametrize("name", ["*", "", "a:80", "http://a", "A", "a/b", "a@b", "a b", "[::1]"])
def test_a_name_is_a_name(name):
    with pytest.raises(UsageError, match="--allowed-host must be a name"):
        allowed_hosts("127.0.0.1", [name])


@pytest.mark.parametrize(
    ("host", "let_in"),
    [
        ("[::1]:8000", True),
        ("LOCALHOST", True),
        ("localhost.", False),
        ("localhost:99999999", False),
        ("user@localhost", False),
        ("localhost/", False),
        ("localhost, evil.example", False),
        ("", False),
    ],
)
def test_hosts_are_read_strictly(server, host, let_in):
    headers = {"Host": host, "Authorization": f"Bearer {TOKEN}"}
    found = server.ask("GET", "/v1/models", headers=headers, token=False).status
    assert found == 200 if let_in else found in (400, 403)
