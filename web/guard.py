"""What stands between the network and the pages: headers, sizes, hosts, where a form comes from, cookies."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response

from config.settings import Settings
from states.errors import Refused

MOST_BYTES = 1_000_000
FILES = re.compile(r"/(?:api/v1/)?dossiers/[^/]+/(?:pieces|files)")
READ_ON = 10
"""A file that weighs too much is read on up to so many times what it may weigh, so that its page can say so."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
YEAR = 31_536_000
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Broken = Callable[[Request, Exception], Awaitable[Response]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Site:
    """Where this portal is found, and what follows for its cookies."""

    def __init__(self, settings: Settings) -> None:
        parts = urlsplit(settings.base_url)
        self.scheme, self.host = parts.scheme, (parts.netloc or "").lower()
        self.local = (parts.hostname or "") in ("localhost", "127.0.0.1", "::1")
        # Plain http never leaves this machine: elsewhere a cookie that is not Secure is not given.
        self.secure = not (self.local and self.scheme == "http")
        prefix = "__Host-" if self.secure else ""
        self.session, self.before, self.language = f"{prefix}session", f"{prefix}before", f"{prefix}language"
        self.leaving = f"{prefix}leaving"

    def known(self, host: str) -> bool:
        """Whether a request for this host is for us."""
        host = host.lower()
        if host == self.host:
            return True
        name, _, port = host.partition(":") if not host.startswith("[") else (host.partition("]")[0] + "]", "", "")
        return self.local and name in LOOPBACK and (not port or self.host.endswith(f":{port}") or ":" not in self.host)

    def cookie(
        self, response: Response, name: str, value: str, *, seconds: int | None = None, strict: bool = False
    ) -> None:
        """Give a cookie: HttpOnly, SameSite, Secure wherever it could be overheard."""
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self.secure, httponly=True,
                            samesite="strict" if strict else "lax")  # fmt: skip

    def forget(self, response: Response, name: str) -> None:
        """Take a cookie back."""
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")

    def same_origin(self, request: Request) -> bool:
        """Whether a form was sent from one of our pages, as far as the browser says."""
        origin = request.headers.get("origin")
        if origin is not None:
            parts = urlsplit(origin)
            return parts.scheme == self.scheme and parts.netloc.lower() == request.headers.get("host", "").lower()
        return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def check_csrf(request: Request, given: str, expected: str) -> None:
    """Raise Refused unless a form comes from our page and carries its token."""
    site: Site = request.app.state.site
    if not site.same_origin(request) or not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Refused("csrf", "ce formulaire ne vient pas de cette page, ou elle est trop ancienne : rechargez-la")


def fresh() -> str:
    """A secret for a form."""
    return secrets.token_urlsafe(24)


class Guard:
    """Headers on every answer, also to what goes wrong; refuses other hosts, and bodies too long, declared or not."""

    def __init__(self, app: App, site: Site, broken: Broken, file_bytes: int) -> None:
        self.app, self.site, self.broken, self.file_bytes = app, site, broken, file_bytes

    def most(self, scope: Message) -> int:
        """How many bytes a request may have."""
        joins = scope["method"] == "POST" and FILES.fullmatch(scope["path"])
        return MOST_BYTES + READ_ON * self.file_bytes if joins else MOST_BYTES

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let one request through, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        length, most = given.get("content-length", "0"), self.most(scope)
        if not self.site.known(given.get("host", "")) and not scope["path"].startswith(("/healthz", "/readyz")):
            await self._refuse(send, 421, "Ce portail n'est pas celui que vous demandez.")
            return
        if not length.isdecimal() or int(length) > most:
            await self._refuse(send, 413, f"Envoi trop long : {most} octets au plus.")
            return
        read, begun = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise TooLong
            return message

        async def headed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = self._headed(list(message.get("headers", [])), scope["path"])
            await send(message)

        try:
            await self.app(scope, counted, headed)
        except Exception as error:
            if begun:
                raise
            if not isinstance(error, TooLong):
                answer = await self.broken(Request(scope, counted), error)
                await answer(scope, receive, headed)
                return
            await self._refuse(send, 413, f"Envoi trop long : {most} octets au plus.")

    def _headed(self, headers: list[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
        there = {name.lower() for name, _ in headers}
        wanted = dict(HEADERS)
        if self.site.secure:
            wanted["strict-transport-security"] = f"max-age={YEAR}; includeSubDomains"
        wanted["cache-control"] = "public, max-age=86400" if path.startswith("/static/") else "no-store"
        return headers + [
            (name.encode(), value.encode()) for name, value in wanted.items() if name.encode() not in there
        ]

    async def _refuse(self, send: Send, status: int, words: str) -> None:
        headers = self._headed([(b"content-type", b"text/plain; charset=utf-8")], "")
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": words.encode()})


class TooLong(Exception):
    """A body that went on after what it may be."""
