"""Who may use the page: logins, tokens, and no other web page.

Pure ASGI middlewares for everything that is served (the page, its API, the media, MCP): Starlette's
``BaseHTTPMiddleware`` would hold streams up, and its ``TrustedHostMiddleware`` cannot allow every IP address.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from indexer.core.errors import UsageError
from ui.web.rate_limits import RateLimit, visitor_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_GUESS_TAKES_S = 0.5
_SHORTEST_TOKEN = 16
_ONLY_THIS_COMPUTER = "This page is there for this computer only. Open it as http://localhost with the port shown."
_UNKNOWN_NAME = "This page is not known by that name. Open it by its computer's address, as http://192.168.0.2:7860."
# Gradio's own templates need inline code; nothing at all may come from, or go to, anywhere else.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


def check_credentials(login: str, token: str) -> None:
    """Refuse what is no ``user:password``, where the password may hold further colons, and a token soon guessed.

    Raises:
        UsageError: half a login, control characters in it, or a short token. "" stands for none.
    """
    user, _, password = login.partition(":")
    if login and not (user and password):
        raise UsageError(
            "A login is a user's name and a password with a colon between.", hint="Give it as --auth user:password."
        )
    if not login.isprintable():
        raise UsageError("A login is typed: it holds no control characters.")
    if token and len(token) < _SHORTEST_TOKEN:
        hint = f"Give at least {_SHORTEST_TOKEN}."
        raise UsageError(f"A token of {len(token)} characters can be guessed.", hint=hint)


def is_loopback(host: str) -> bool:
    """Whether a server bound to this address is reached from this computer only."""
    address = _ip_address(host.strip("[]"))
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def names_of_this_computer() -> frozenset[str]:
    """The names this computer goes by in a home network, in lower case."""
    whole = socket.gethostname().lower()
    first = whole.partition(".")[0]
    return frozenset({"localhost", whole, first, f"{first}.local"}) - {"", ".local"}


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in plain words."""
    safe = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return PlainTextResponse(f"{message}\n", status, {**safe, **(headers or {})})


def too_often(message: str, wait_s: float) -> Response:
    """An answer to a request that may be repeated after so many seconds."""
    return refusal(429, message, {"retry-after": str(max(1, round(wait_s)))})


class Guard(ABC):
    """ASGI middleware that answers some requests in place of what it guards."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or answer it."""
        answer = self._app
        if scope["type"] in ("http", "websocket"):
            answer = await self.check(HTTPConnection(scope)) or self._app
        await answer(scope, receive, send)

    @abstractmethod
    async def check(self, connection: HTTPConnection) -> Response | None:
        """What to answer instead; None to hand the request on."""


class RequireLogin(Guard):
    """Lets in visitors who know the user's name and password (HTTP Basic), or the token.

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
        super().__init__(app)
        if not login and not token:
            raise UsageError("Without a user and password or a token there is nothing to ask for.")
        check_credentials(login, token)
        self._login, self._token = login, token
        # What the cookie holds opens this door only, and does not give the token away.
        self._pass = hmac.new(token.encode(), b"sceneseek cookie", hashlib.sha256).hexdigest()
        self._cookie = f"sceneseek-{self._pass[:8]}"
        self._guesses = RateLimit(10, 50.0, clock)
        self._sleep = sleep

    async def check(self, connection: HTTPConnection) -> Response | None:
        """Ask for the login, unless the visitor has it."""
        if self._token and _is_same(connection.cookies.get(self._cookie, ""), self._pass):
            return None
        authorization = connection.headers.get("authorization", "")
        token = connection.query_params.get("token", "") if self._token else ""
        if not authorization and not token:
            return self._ask()
        visitor = visitor_of(connection.client)
        if (wait_s := self._guesses.wait_s(visitor)) > 0:
            return too_often("Too many wrong logins. Wait a little, then try again.", wait_s)
        if self._is_right(authorization):
            return None
        if token and _is_same(token, self._token):
            return self._enter(connection)
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
            how = "This page asks for a user's name and password."
            scheme = 'Basic realm="sceneseek", charset="UTF-8"'
        else:
            how = "Open this page by the address with ?token=... that was shown when it was started."
            scheme = 'Bearer realm="sceneseek"'
        return refusal(401, reproach + how, {"www-authenticate": scheme})

    def _enter(self, connection: HTTPConnection) -> Response | None:
        """Leave the cookie, and lead on to the address without the token."""
        if connection.scope["type"] == "websocket" or connection.scope["method"] not in ("GET", "HEAD"):
            return None
        headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        answer = RedirectResponse(_address_without_token(connection), 303, headers)
        answer.set_cookie(self._cookie, self._pass, httponly=True, secure=connection.scope.get("scheme") == "https")
        return answer


class SameOrigin(Guard):
    """Refuses what another web page asks for in a visitor's name.

    Requests that change something, and web sockets, must come from the page itself or from a program that is no
    browser. Names that are not the page's are refused, else another page could have its own name lead here (DNS
    rebinding) and read everything.

    Args:
        app: What is guarded.
        only_this_computer: The server is bound to the loopback address: then the page has no name but ``localhost``,
            ``127.0.0.1`` and ``[::1]``, at any port.
        names: The names of a page that others reach, besides all IP addresses, which no name can be made to lead to.
            None allows all names; name them where there is no login.
    """

    def __init__(self, app: ASGIApp, *, only_this_computer: bool, names: Collection[str] | None = None) -> None:
        super().__init__(app)
        self._only_this_computer, self._names = only_this_computer, names

    async def check(self, connection: HTTPConnection) -> Response | None:
        """Refuse a wrong name, and changes that another page asks for."""
        host = _hostname(connection.headers.get("host", ""))
        if self._only_this_computer and host not in ("localhost", "127.0.0.1", "::1"):
            return refusal(421, _ONLY_THIS_COMPUTER)
        if self._names is not None and host not in self._names and _ip_address(host) is None:
            return refusal(421, _UNKNOWN_NAME)
        scope = connection.scope
        is_change = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if is_change and not _is_own(connection.headers):
            return refusal(403, "Another web page has asked for this; that is not allowed.")
        return None


class SafeHeaders:
    """ASGI middleware that lets no answer load anything from elsewhere, and no other page read an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", _POLICY)
                headers.setdefault("x-content-type-options", "nosniff")
                headers.setdefault("referrer-policy", "same-origin")
                if not _is_own(Headers(scope=scope)):
                    for name in [name for name in headers if name.startswith("access-control-")]:
                        del headers[name]
            await send(message)

        await self._app(scope, receive, send_safely)


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
    except ValueError:
        return ""


def _address_without_token(connection: HTTPConnection) -> str:
    """Path and query; never another site, as a path with two slashes at its beginning would be."""
    path = "/" + quote(connection.scope["path"].lstrip("/\\"))
    query = urlencode([(name, value) for name, value in connection.query_params.multi_items() if name != "token"])
    return f"{path}?{query}" if query else path
