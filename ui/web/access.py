"""Who may use the page: logins, tokens, and no other web page on the same computer.

Three ASGI middlewares, for everything that is served (the page, its API, the media, MCP):

- ``RequireLogin`` lets in who knows a user's name and password (HTTP Basic) or a token;
- ``SameOrigin`` refuses requests that another web page makes in a visitor's name. It also refuses to be called by
  other names than its own: else a page from elsewhere could have its name lead here (DNS rebinding) and read all.
  Starlette's ``TrustedHostMiddleware`` cannot allow every IP address;
- ``SafeHeaders`` keeps the browser from loading anything from elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from indexer.core.errors import UsageError
from ui.web.rate_limits import RateLimit, visitor_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "RequireLogin",
    "SafeHeaders",
    "SameOrigin",
    "check_login",
    "check_token",
    "is_loopback",
    "names_of_this_computer",
    "refusal",
]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_GUESSES, _REFILL_S = 10, 50.0
_GUESS_TAKES_S = 0.5
_SHORTEST_TOKEN = 16
# Gradio's own templates need inline code; nothing at all may come from, or go to, anywhere else.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


def check_login(login: str) -> None:
    """Refuse what is no ``user:password``; the password may hold further colons. "" is no login.

    Raises:
        UsageError: either is missing, or there are control characters in them.
    """
    user, _, password = login.partition(":")
    if login and not (user and password):
        raise UsageError(
            "A login is a user's name and a password with a colon between.", hint="Give it as --auth user:password."
        )
    if not login.isprintable():
        raise UsageError("A login is typed: it holds no control characters.")


def check_token(token: str) -> None:
    """Refuse a token that is soon guessed; "" is no token.

    Raises:
        UsageError: it is too short.
    """
    if token and len(token) < _SHORTEST_TOKEN:
        raise UsageError(
            f"A token of {len(token)} characters can be guessed.", hint=f"Give at least {_SHORTEST_TOKEN}."
        )


def is_loopback(host: str) -> bool:
    """Whether a server bound to this address is reached from this computer only."""
    address = _ip_address(host.strip("[]"))
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def names_of_this_computer() -> frozenset[str]:
    """The names this computer goes by in a home network, in lower case."""
    whole = socket.gethostname().lower()
    first = whole.partition(".")[0]
    return frozenset({"localhost", whole, first, f"{first}.local"}) - {"", ".local"}


def refusal(status: int, message: str, **headers: str) -> Response:
    """An answer in plain words; a web socket is closed with it. Names of headers are written with ``_`` for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PlainTextResponse(
        f"{message}\n", status, {"cache-control": "no-store", "x-content-type-options": "nosniff", **named}
    )


class RequireLogin:
    """Lets in who knows the user's name and password, or the token.

    A token is sent as ``Authorization: Bearer TOKEN``, or once as ``?token=TOKEN``, which leaves a cookie and leads on
    to the address without it. After ten wrong guesses a visitor has to wait five seconds for each further try.

    Args:
        app: What is guarded.
        login: As ``user:password``; "" for a token only.
        token: At least 16 characters; "" for a login only.
        clock: Seconds that only go forward.
        sleep: Waits so many seconds before a wrong guess is refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        login: str = "",
        *,
        token: str = "",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if not login and not token:
            raise UsageError("Without a user and password or a token there is nothing to ask for.")
        check_login(login)
        check_token(token)
        self._app, self._login, self._token = app, login, token
        # What the cookie holds opens this door only, and does not give the token away.
        self._pass = hmac.new(token.encode(), b"sceneseek cookie", hashlib.sha256).hexdigest()
        self._cookie = f"sceneseek-{self._pass[:8]}"
        self._guesses = RateLimit(_GUESSES, _REFILL_S, clock)
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        answer = self._app
        if scope["type"] in ("http", "websocket"):
            answer = await self._check(HTTPConnection(scope)) or self._app
        await answer(scope, receive, send)

    async def _check(self, asked: HTTPConnection) -> Response | None:
        """What to answer instead of what was asked for; None if the visitor may have it."""
        if self._token and _is_same(asked.cookies.get(self._cookie, ""), self._pass):
            return None
        authorization = asked.headers.get("authorization", "")
        token = asked.query_params.get("token", "") if self._token else ""
        if not authorization and not token:
            return self._ask()
        visitor = visitor_of(asked.client)
        if (wait_s := self._guesses.wait_s(visitor)) > 0:
            message = "Too many wrong logins. Wait a little, then try again."
            return refusal(429, message, retry_after=str(max(1, round(wait_s))))
        if self._is_right(authorization):
            return None
        if token and _is_same(token, self._token):
            return self._enter(asked)
        self._guesses.count(visitor)
        await self._sleep(_GUESS_TAKES_S)
        return self._ask("That was not right. ")

    def _is_right(self, authorization: str) -> bool:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer" and self._token:
            return _is_same(value.strip(), self._token)
        if scheme.lower() == "basic" and self._login:
            return _is_same(_decoded(value), self._login)
        return False

    def _ask(self, reproach: str = "") -> Response:
        if self._login:
            how, scheme = "This page asks for a user's name and password.", 'Basic realm="sceneseek", charset="UTF-8"'
        else:
            how = "Open this page by the address with ?token=... that was shown when it was started."
            scheme = 'Bearer realm="sceneseek"'
        return refusal(401, f"{reproach}{how}", www_authenticate=scheme)

    def _enter(self, asked: HTTPConnection) -> Response | None:
        """Leave the cookie, and lead on to the address without the token."""
        if asked.scope["type"] == "websocket" or asked.scope["method"] not in ("GET", "HEAD"):
            return None
        headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        answer = RedirectResponse(_address_without_token(asked), 303, headers)
        is_secure = asked.scope.get("scheme") == "https"
        answer.set_cookie(self._cookie, self._pass, httponly=True, samesite="lax", secure=is_secure)
        return answer


class SameOrigin:
    """Refuses what another web page asks for in a visitor's name.

    Requests that change something, and web sockets, must come from the page itself or from a program that is
    no browser. No other page can read an answer either, whatever the answer's own headers allow.

    Args:
        app: What is guarded.
        only_this_computer: The server is bound to the loopback address: then the page has no name but ``localhost``,
            ``127.0.0.1`` and ``[::1]``, at any port.
        names: The names of a page that others reach, besides all IP addresses, which no name can be made to lead to.
            None allows all names; name them where there is no login.
    """

    def __init__(self, app: ASGIApp, *, only_this_computer: bool, names: Collection[str] | None = None) -> None:
        self._app = app
        self._only_this_computer = only_this_computer
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_own = _is_own(headers)
        changes_something = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if wrong_name := self._wrong_name(_hostname(headers.get("host", ""))):
            await refusal(421, wrong_name)(scope, receive, send)
        elif changes_something and not is_own:
            message = "Another web page has asked for this; that is not allowed."
            await refusal(403, message)(scope, receive, send)
        else:
            await self._app(scope, receive, send if is_own else _editing_headers(send, _make_unreadable_elsewhere))

    def _wrong_name(self, host: str) -> str:
        """Why the page does not answer to this name; empty if it does."""
        if self._only_this_computer:
            is_known = host in ("localhost", "127.0.0.1", "::1")
            message = "This page is there for this computer only. Open it as http://localhost with the port shown."
        else:
            is_known = self._names is None or host in self._names or _ip_address(host) is not None
            message = (
                "This page is not known by that name. Open it by its computer's address, as http://192.168.0.2:7860."
            )
        return "" if is_known else message


class SafeHeaders:
    """Adds headers to every answer: nothing is loaded from elsewhere, and no content is taken for another type."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        await self._app(scope, receive, _editing_headers(send, _make_safe) if scope["type"] == "http" else send)


def _make_safe(headers: MutableHeaders) -> None:
    headers.setdefault("content-security-policy", _POLICY)
    headers.setdefault("x-content-type-options", "nosniff")
    headers.setdefault("referrer-policy", "same-origin")


def _make_unreadable_elsewhere(headers: MutableHeaders) -> None:
    for name in [name for name in headers if name.startswith("access-control-")]:
        del headers[name]


def _editing_headers(send: Send, edit: Callable[[MutableHeaders], None]) -> Send:
    async def send_edited(message: Message) -> None:
        if message["type"] == "http.response.start":
            edit(MutableHeaders(scope=message))
        await send(message)

    return send_edited


def _is_own(headers: Headers) -> bool:
    """Whether a request comes from the page itself, or from a program that is no browser."""
    origin = headers.get("origin")
    if origin is None:
        # No browser sends a request that changes something to another site without saying so in one of the two.
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    host = headers.get("host", "").lower()
    return host != "" and origin.lower().partition("://")[2] == host


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _hostname(host: str) -> str:
    """Not ``request.url.hostname``, which takes the server's address where the header cannot be read."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_same(one: str, other: str) -> bool:
    """In a time that does not tell how much was right."""
    digests = [hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (one, other)]
    return hmac.compare_digest(*digests)


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value.strip(), validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return ""


def _address_without_token(asked: HTTPConnection) -> str:
    """Path and query; never another site, as a path with two slashes at its beginning would be."""
    path = "/" + quote(asked.scope["path"].lstrip("/\\"))
    query = urlencode([(name, value) for name, value in asked.query_params.multi_items() if name != "token"])
    return f"{path}?{query}" if query else path
