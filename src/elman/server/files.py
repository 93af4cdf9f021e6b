"""The page's files, read once when the server starts: no path from outside ever names a file."""

import hashlib
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
FOLDER = Path(__file__).parent / "page"


class Files:
    """The files of ``folder`` by their path in it; those of other types are not served."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._held = {
            path.relative_to(folder).as_posix(): (TYPES[path.suffix], path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in TYPES
        }

    async def index(self, request: Request) -> Response:
        """The page itself."""
        return self._answer(request, "index.html")

    async def file(self, request: Request) -> Response:
        """What belongs to it."""
        return self._answer(request, request.path_params["name"])

    def _answer(self, request: Request, name: str) -> Response:
        if name not in self._held:
            raise HTTPException(404)
        kind, content = self._held[name]
        tag = f'"{hashlib.blake2b(content, digest_size=8).hexdigest()}"'
        headers = {"content-type": kind, "etag": tag, "cache-control": "private, no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)
