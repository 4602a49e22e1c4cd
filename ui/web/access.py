"""Who may use the page: logins, tokens, and no other web page on the same computer.

Two ASGI middlewares, for everything that is served (the page, its API, the media, MCP):

- ``RequireLogin`` lets in who knows a user's name and password (HTTP Basic) or a token;
- ``SameOrigin`` refuses requests that another web page makes in a visitor's name. A page that is only there for this
  computer also refuses to be called by any other name than this computer's own: else a page from elsewhere whose name
  is made to lead here (DNS rebinding) could read everything.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from indexer.core.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "Login",
    "RequireLogin",
    "SameOrigin",
    "check_token",
    "is_loopback",
    "names_of_this_computer",
    "parse_login",
    "refuse",
]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
# So many wrong guesses at once, then one every few seconds; for so many addresses at most.
_GUESSES = 10
_S_PER_GUESS = 5.0
_ADDRESSES = 4096
_WRONG_GUESS_TAKES_S = 0.5
_POLICY_VIOLATION = 1008
_SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Login:
    """A user's name and password."""

    user: str
    password: str = field(repr=False)


def parse_login(text: str) -> Login:
    """The login in ``user:password``; the password may hold further colons.

    Raises:
        UsageError: either is missing, or there are control characters in them.
    """
    user, colon, password = text.partition(":")
    if not colon or not user or not password:
        raise UsageError(
            "A login is a user's name and a password with a colon between.", hint="Give it as --auth user:password."
        )
    if not text.isprintable():
        raise UsageError("A login is typed: it holds no control characters.")
    return Login(user, password)


def check_token(token: str) -> None:
    """Refuse a token that is soon guessed; none at all is no token.

    Raises:
        UsageError: it is too short.
    """
    if token and len(token) < _SHORTEST_TOKEN:
        raise UsageError(
            f"A token of {len(token)} characters can be guessed.", hint=f"Give at least {_SHORTEST_TOKEN}."
        )


def is_loopback(host: str) -> bool:
    """Whether a server bound to this address is reached from this computer only."""
    return host.strip("[]").lower() in _LOOPBACK_NAMES or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def names_of_this_computer() -> frozenset[str]:
    """The names this computer goes by in a home network, in lower case."""
    whole = socket.gethostname().lower()
    first = whole.partition(".")[0]
    return frozenset({"localhost", whole, first, f"{first}.local"}) - {"", ".local"}


class RequireLogin:
    """Lets in who knows the user's name and password, or the token.

    A token is sent as ``Authorization: Bearer TOKEN``, or once as ``?token=TOKEN``, which leaves a cookie and leads on
    to the address without it. Whoever guesses wrong more than ten times has to wait five seconds for each further try.

    Args:
        app: What is guarded.
        user: With ``password``; "" for a token only.
        password: Likewise.
        token: At least 16 characters; "" for a login only.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        app: ASGIApp,
        user: str = "",
        password: str = "",
        *,
        token: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not (user and password) and not token:
            raise UsageError("Without a user and password or a token there is nothing to ask for.")
        check_token(token)
        self._app = app
        self._login = f"{user}:{password}" if user and password else ""
        self._token = token
        # What the cookie holds opens this door only, and does not give the token away.
        self._pass = hmac.new(token.encode(), b"sceneseek cookie", hashlib.sha256).hexdigest()
        self._cookie = f"sceneseek-{self._pass[:8]}"
        self._guesses = _Guesses(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        if self._token and _is_same(_cookies(headers).get(self._cookie, ""), self._pass):
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("unknown",))[0]
        offered_token = _token_in_address(scope) if self._token else ""
        offered = headers.get("authorization", "")
        if not offered and not offered_token:
            await refuse(scope, send, 401, self._how_to_enter, self._challenge)
        elif (wait_s := self._guesses.wait_s(address)) > 0:
            after = {"retry-after": str(max(1, round(wait_s)))}
            await refuse(scope, send, 429, "Too many wrong logins. Wait a little, then try again.", after)
        elif self._is_right(offered):
            await self._app(scope, receive, send)
        elif offered_token and _is_same(offered_token, self._token):
            await self._enter(scope, receive, send)
        else:
            self._guesses.count(address)
            await asyncio.sleep(_WRONG_GUESS_TAKES_S)
            await refuse(scope, send, 401, f"That was not right. {self._how_to_enter}", self._challenge)

    def _is_right(self, authorization: str) -> bool:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer" and self._token:
            return _is_same(value.strip(), self._token)
        if scheme.lower() == "basic" and self._login:
            return _is_same(_decoded(value), self._login)
        return False

    @property
    def _challenge(self) -> dict[str, str]:
        scheme = 'Basic realm="sceneseek", charset="UTF-8"' if self._login else 'Bearer realm="sceneseek"'
        return {"www-authenticate": scheme}

    @property
    def _how_to_enter(self) -> str:
        if self._login:
            return "This page asks for a user's name and password."
        return "Open this page by the address with ?token=... that was shown when it was started."

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Leave the cookie, and lead on to the address without the token."""
        if scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        headers = {
            "location": _address_without_token(scope),
            "set-cookie": f"{self._cookie}={self._pass}; Path=/; HttpOnly; SameSite=Lax{secure}",
            "referrer-policy": "no-referrer",
        }
        await refuse(scope, send, 303, "", headers)


class SameOrigin:
    """Refuses what another web page asks for in a visitor's name.

    Requests that change something, and web sockets, must come from the page itself or from a program that is
    no browser. What is answered can be read by no other page either, whatever the answer's own headers allow.

    Args:
        app: What is guarded.
        only_this_computer: The server is bound to the loopback address: then the page has no name but ``localhost``,
            ``127.0.0.1`` and ``[::1]``, at any port.
        origins: Others that may ask, as ``https://films.example``: where a proxy has a name of its own.
        names: What else the page may be called where others reach it: by these names, by those of ``origins`` and by
            addresses in numbers, which no name can be made to lead to. None allows all names: to be given where
            there is no login.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        only_this_computer: bool,
        origins: Collection[str] = (),
        names: Collection[str] | None = None,
    ) -> None:
        self._app = app
        self._only_this_computer = only_this_computer
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        of_origins = {urlsplit(origin).hostname or "" for origin in self._origins}
        self._local_names = _LOOPBACK_NAMES | of_origins
        self._names = None if names is None else frozenset(name.lower() for name in names) | of_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        is_own = self._is_own(headers)
        if wrong_name := self._wrong_name(_hostname(headers.get("host", ""))):
            await refuse(scope, send, 421, wrong_name)
        elif _changes_something(scope) and not is_own:
            await refuse(scope, send, 403, "Another web page has asked for this; that is not allowed.")
        else:
            await self._app(scope, receive, send if is_own else _unreadable_elsewhere(send))

    def _wrong_name(self, host: str) -> str:
        """Why the page does not answer to this name; empty if it does."""
        if self._only_this_computer and host not in self._local_names:
            return "This page is there for this computer only. Open it as http://localhost with the port shown."
        if self._only_this_computer or self._names is None or host in self._names or _is_address(host):
            return ""
        return "This page is not known by that name. Open it by its computer's address, as http://192.168.0.2:7860."

    def _is_own(self, headers: Mapping[str, str]) -> bool:
        origin = headers.get("origin")
        if origin is None:
            # No browser sends a request that changes something to another site without saying so in one of the two.
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        host = headers.get("host", "").lower()
        return origin.lower() in self._origins or (host != "" and origin.lower().partition("://")[2] == host)


def _unreadable_elsewhere(send: Send) -> Send:
    """Sends answers without what would let another page's scripts read them."""

    async def send_without(message: Message) -> None:
        if message["type"] == "http.response.start":
            pairs = message.get("headers", ())
            kept = [(name, value) for name, value in pairs if not name.lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return send_without


def _is_address(host: str) -> bool:
    """Whether it is an IP address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _changes_something(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS


class _Guesses:
    """How many wrong guesses each address has left: a bucket that fills again slowly."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """How long until the next guess is listened to, in seconds; 0 or less: now."""
        used_s = self._full_at.get(address, 0.0) - self._clock()
        return used_s - (_GUESSES - 1) * _S_PER_GUESS

    def count(self, address: str) -> None:
        """One more wrong guess."""
        now = self._clock()
        self._full_at[address] = max(now, self._full_at.pop(address, now)) + _S_PER_GUESS
        while len(self._full_at) > _ADDRESSES:
            self._full_at.popitem(last=False)


def _is_same(one: str, other: str) -> bool:
    """In a time that does not tell how much was right."""
    digests = [hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (one, other)]
    return hmac.compare_digest(*digests)


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value.strip(), validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return ""


def _headers(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name; of several with one name the last, but all cookies."""
    headers: dict[str, str] = {}
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}; {text}" if key == "cookie" and key in headers else text
    return headers


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
    return {name: value for name, _, value in pairs}


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _asked(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def _token_in_address(scope: Scope) -> str:
    return next((value for name, value in _asked(scope) if name == "token"), "")


def _address_without_token(scope: Scope) -> str:
    """Path and query; never another site, as a path with two slashes at its beginning would be."""
    raw = scope.get("raw_path") or scope["path"].encode("utf-8")
    path = "/" + raw.decode("latin-1").split("?")[0].replace("\\", "/").lstrip("/")
    rest = urlencode([(name, value) for name, value in _asked(scope) if name != "token"])
    return f"{path}?{rest}" if rest else path


async def refuse(scope: Scope, send: Send, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
    """Answer a request in plain words; a web socket is closed before it is opened."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": message[:100]})
        return
    body = f"{message}\n".encode() if message else b""
    described = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        **(headers or {}),
    }
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in described.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
