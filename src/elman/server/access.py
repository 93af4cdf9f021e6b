"""Who may ask: Host, Origin and token, all three, over HTTP and WebSocket alike.

A page of another site can make a browser send a request here. Rebinding its own name to this
address, it has a foreign Host; connecting a WebSocket across sites, it has a foreign Origin and a
valid Host. Each check stops one of the two; the token stops everybody else on the machine.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from elman.errors import UsageError
from elman.server.refusal import RefusedError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN = ("/healthz",)  # needs no token
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Access:
    """The checks, and the secrets they know.

    ``hosts``: the names this server is called by. ``token``: a lasting one, from which the cookie
    is made, so that all servers with the same token know the same browsers. ``required``: without
    it no token is asked for, Host and Origin still are.
    """

    def __init__(
        self, hosts: Iterable[str], port: int, token: str | None, required: bool = True
    ) -> None:
        self._hosts = {host.lower() for host in hosts}
        self._required = required
        self._token = token
        secret = (token or secrets.token_urlsafe(32)).encode()
        self.cookie = hmac.new(secret, b"elman cookie", hashlib.sha256).hexdigest()
        self.cookie_name = f"elman-{port}"  # cookies know no ports
        self._once: str | None = secrets.token_urlsafe(32)

    @property
    def query(self) -> str:
        """What is appended to the address that is printed: the token that works once."""
        return f"?token={self._once}" if self._required else ""

    def check(self, scope: Scope) -> None:
        """Raise :class:`RefusedError` unless the request may go on."""
        asked = HTTPConnection(scope)
        host = self._check_host(asked)
        origin = self._check_origin(asked, host)
        if self._required and scope["path"] not in OPEN:
            self._check_token(asked, scope, origin)

    def exchange(self, scope: Scope) -> Response | None:
        """The answer to the printed address: a cookie for its token, which is spent then."""
        asked = HTTPConnection(scope)
        given = asked.query_params.get("token")
        if not self._required or scope["path"] != "/" or scope["method"] != "GET" or given is None:
            return None
        self._check_host(asked)
        if self._once is None or not _same(given, self._once):
            raise RefusedError(
                401, "access", "the token of an address works once; restart the server for another"
            )
        self._once = None
        response = RedirectResponse("/", 303)
        # Who lies about the scheme gets a cookie that does not suit him, and harms nobody else.
        secure = "https" in (asked.url.scheme, asked.headers.get("x-forwarded-proto"))
        response.set_cookie(
            self.cookie_name, self.cookie, httponly=True, samesite="strict", secure=secure
        )
        return response

    def _check_host(self, asked: HTTPConnection) -> str:
        given = asked.headers.getlist("host")
        host = given[0].lower() if len(given) == 1 else ""
        if _name(host) not in self._hosts:
            raise RefusedError(
                403, "access", "Host must be a name of this server; see elman serve --allowed-host"
            )
        return host

    def _check_origin(self, asked: HTTPConnection, host: str) -> bool:
        """Whether there is an Origin; it must be the Host."""
        given = asked.headers.getlist("origin")
        if not given:
            return False
        scheme, _, place = given[0].lower().partition("://")
        port = _DEFAULT_PORTS.get(scheme)
        if len(given) > 1 or not port or place.removesuffix(port) != host.removesuffix(port):
            raise RefusedError(403, "access", "Origin must be this server's; open its page itself")
        return True

    def _check_token(self, asked: HTTPConnection, scope: Scope, origin: bool) -> None:
        kind, _, bearer = asked.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            accepted = [self.cookie, *filter(None, [self._token])]
            if any([_same(bearer.strip(), each) for each in accepted]):
                return
        elif _same(asked.cookies.get(self.cookie_name, ""), self.cookie):
            # Browsers name the origin of whatever changes something, or opens a WebSocket.
            if origin or scope.get("method") in ("GET", "HEAD"):
                return
            raise RefusedError(403, "access", "Origin must come with a cookie, found none")
        raise RefusedError(
            401, "access", "a token must be given; open the address that elman serve printed"
        )


def allowed_hosts(host: str, allowed: Iterable[str]) -> tuple[str, ...]:
    """The names a server at the address ``host`` answers to.

    Raises :class:`~elman.errors.UsageError` where others than this machine could call it and no
    name is ``allowed``, and for what is no name.
    """
    names = tuple(allowed)
    for name in names:
        if not name or name != _name(name.lower()) or set(name) & set("*/@?# "):
            rule = "--allowed-host must be a name in small letters, without scheme, port or *"
            raise UsageError("serve", f"{rule}, found {name!r:.60}")
    if host in LOOPBACK:
        return (*LOOPBACK, *names)
    if not names:
        raise UsageError(
            "serve",
            f"--host {host:.60} lets other machines in; name what they call this server with "
            "--allowed-host, or leave --host away",
        )
    return names


def _name(host: str) -> str:
    """A Host header without its port: ``[::1]:80`` -> ``::1``; nothing if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        sound = parts.netloc == host and "@" not in host and (parts.port or True)
    except ValueError:
        return ""
    return parts.hostname or "" if sound else ""


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())
