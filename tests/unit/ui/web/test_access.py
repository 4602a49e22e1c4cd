"""Who gets in: logins, tokens, wrong guesses; and which other pages may not ask in a visitor's name."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from indexer.core.errors import UsageError
from ui.web.access import RequireLogin, SafeHeaders, SameOrigin, check_credentials, is_loopback, names_of_this_computer

TOKEN = "a-token-of-many-characters"
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"inside: {request.url.path}?{request.url.query}")


async def events(request: Request) -> StreamingResponse:
    return StreamingResponse(iter(["data: inside\n\n"]), media_type="text/event-stream")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("inside")
    await socket.close()


def inside() -> Starlette:
    return Starlette(
        routes=[
            Route("/events", events),
            WebSocketRoute("/talk", talk),
            Route("/{path:path}", page, methods=METHODS),
        ]
    )


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Naps:
    """Waits for nothing, and notes how long it should have."""

    def __init__(self) -> None:
        self.naps_s: list[float] = []

    async def __call__(self, duration_s: float) -> None:
        self.naps_s.append(duration_s)


def client(app: Any) -> TestClient:
    return TestClient(app, base_url="http://localhost:7860", follow_redirects=False)


def with_login(**options: Any) -> TestClient:
    return client(RequireLogin(inside(), "ada:l:ovelace ß", **{"sleep": Naps(), **options}))


def with_token(**options: Any) -> TestClient:
    return client(RequireLogin(inside(), token=TOKEN, **{"sleep": Naps(), **options}))


@pytest.mark.parametrize("text", ["ada", ":", "ada:", ":lovelace", "ada:love\nlace", "a\0da:lovelace"])
def test_half_a_login_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as error:
        check_credentials(text, "")
    assert "love" not in str(error.value)


@given(user=st.text(st.characters(categories=["L", "N"]), min_size=1), password=st.text(min_size=1))
def test_every_login_that_passes_gets_in(user: str, password: str) -> None:
    try:
        check_credentials(f"{user}:{password}", "")
    except UsageError:
        assert not f"{user}:{password}".isprintable()
        return
    guarded = client(RequireLogin(inside(), f"{user}:{password}"))
    assert guarded.get("/", auth=(user.encode(), password.encode())).status_code == 200


@pytest.mark.parametrize("path", ["/", "/media/1", "/gradio_api/call/search", "/gradio_api/mcp/", "/events", "//x"])
@pytest.mark.parametrize("method", METHODS)
def test_without_a_login_nothing_is_served(path: str, method: str) -> None:
    answer = with_login().request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="sceneseek", charset="UTF-8"'
    assert "inside" not in answer.text


@pytest.mark.parametrize("path", ["/", "/media/1", "/gradio_api/mcp/", "/events"])
def test_with_the_login_everything_is(path: str) -> None:
    answer = with_login().get(path, auth=("ada", "l:ovelace ß".encode()))
    assert answer.status_code == 200
    assert "inside" in answer.text


@pytest.mark.parametrize(
    "authorization",
    ["Basic", "Basic !!!", "Basic YWRh", "Basic YWRhOg==", "Bearer ", "Bearer l:ovelace", "Digest x", "Basic 4pi", "x"],
)
def test_wrong_logins_stay_outside(authorization: str) -> None:
    assert with_login().get("/", headers={"authorization": authorization}).status_code == 401


@pytest.mark.parametrize(
    "auth", [("ada", "wrong"), ("eve", "l:ovelace ß"), ("ada:l", "ovelace"), ("", ""), ("ada", "")]
)
def test_other_logins_stay_outside(auth: tuple[str, str]) -> None:
    assert with_login().get("/", auth=(auth[0].encode(), auth[1].encode())).status_code == 401


def test_a_token_is_a_header_for_programs() -> None:
    assert with_token().get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert with_token().post("/", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    assert with_token().get("/", headers={"authorization": f"Bearer {TOKEN}x"}).status_code == 401
    assert with_token().get("/").headers["www-authenticate"] == 'Bearer realm="sceneseek"'


def test_a_token_in_the_address_leaves_a_cookie_and_is_gone() -> None:
    guarded = with_token()
    answer = guarded.get(f"/some/where?q=a%20dog&token={TOKEN}&t=3")
    assert (answer.status_code, answer.headers["location"]) == (303, "/some/where?q=a+dog&t=3")
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert guarded.get("/some/where").status_code == 200
    assert guarded.get("/events").text == "data: inside\n\n"
    with guarded.websocket_connect("ws://localhost:7860/talk") as talking:
        assert talking.receive_text() == "inside"


def test_over_https_the_cookie_stays_there() -> None:
    guarded = TestClient(RequireLogin(inside(), token=TOKEN), base_url="https://films.example", follow_redirects=False)
    assert "Secure" in guarded.get(f"/?token={TOKEN}").headers["set-cookie"].split("; ")


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "///evil.example"])
def test_the_way_on_never_leads_elsewhere(path: str) -> None:
    answer = with_token().get(f"http://localhost:7860{path}?token={TOKEN}")
    assert answer.status_code == 303
    assert not answer.headers["location"].startswith(("//", "/\\"))


def test_a_made_up_cookie_opens_nothing() -> None:
    name = with_token().get(f"/?token={TOKEN}").headers["set-cookie"].split("=")[0]
    for value in (TOKEN, "", "0" * 64):
        assert with_token().get("/", headers={"cookie": f"{name}={value}"}).status_code == 401


def test_login_and_token_both_open() -> None:
    guarded = client(RequireLogin(inside(), "ada:lovelace", token=TOKEN))
    assert guarded.get("/", auth=("ada", "lovelace")).status_code == 200
    assert guarded.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.get("/", auth=("ada", TOKEN)).status_code == 401


@pytest.mark.parametrize("options", [{}, {"login": "ada"}, {"login": ":lovelace"}, {"token": "short"}])
def test_a_door_without_a_lock_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        RequireLogin(inside(), **options)


def test_web_sockets_are_guarded_too() -> None:
    with pytest.raises(WebSocketDisconnect), with_login().websocket_connect("/talk"):
        pass
    header = {"authorization": f"Bearer {TOKEN}"}
    with with_token().websocket_connect("/talk", headers=header) as talking:
        assert talking.receive_text() == "inside"


def test_who_guesses_too_often_waits() -> None:
    clock = Clock()
    guarded = with_login(clock=clock)
    right = ("ada", "l:ovelace ß".encode())
    assert [guarded.get("/", auth=("ada", "x")).status_code for _ in range(11)] == [401] * 10 + [429]
    # Even the right password is not listened to: a guess may be right.
    refused = guarded.get("/", auth=right)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    # Asking without guessing costs nothing.
    assert guarded.get("/").status_code == 401
    clock.now_s += 5.1
    assert guarded.get("/", auth=("ada", "x")).status_code == 401
    assert guarded.get("/", auth=right).status_code == 429
    clock.now_s += 5.1
    assert guarded.get("/", auth=right).status_code == 200


def test_tokens_in_the_address_are_guesses_too() -> None:
    guarded = with_token(clock=Clock())
    answers = [guarded.get(f"/?token={number}").status_code for number in range(11)]
    assert answers == [401] * 10 + [429]
    # Who came in before stays in.
    known = client(guarded.app)
    known.cookies.update(with_token().get(f"/?token={TOKEN}").cookies)
    assert known.get("/").status_code == 200


def test_another_address_is_not_kept_waiting() -> None:
    app = RequireLogin(inside(), "ada:lovelace", clock=Clock(), sleep=Naps())
    one = TestClient(app, client=("10.0.0.1", 1))
    for _ in range(12):
        one.get("/", auth=("ada", "x"))
    assert one.get("/", auth=("ada", "lovelace")).status_code == 429
    assert TestClient(app, client=("10.0.0.2", 1)).get("/", auth=("ada", "lovelace")).status_code == 200


def test_a_wrong_guess_takes_its_time() -> None:
    naps = Naps()
    guarded = with_login(sleep=naps)
    guarded.get("/", auth=("ada", "l:ovelace ß".encode()))
    assert naps.naps_s == []
    guarded.get("/", auth=("ada", "x"))
    assert naps.naps_s == [0.5]


HERE = ["localhost", "localhost:7860", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:7860", "LocalHost:7860"]
ELSEWHERE = [
    "evil.example",
    "localhost.evil.example",
    "evil.example:7860",
    "127.0.0.1.evil.example",
    "127.0.0.2",
    "",
    "[::2]",
    "[::1",
    "localhost@evil.example",
    "evil.example#localhost",
]


@pytest.mark.parametrize("host", HERE)
def test_this_computer_may_be_called_by_its_names(host: str) -> None:
    guarded = client(SameOrigin(inside(), only_this_computer=True))
    assert guarded.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ELSEWHERE)
def test_by_any_other_name_it_is_not_there(host: str) -> None:
    guarded = client(SameOrigin(inside(), only_this_computer=True))
    for method in METHODS:
        answer = guarded.request(method, "/media/1", headers={"host": host})
        assert answer.status_code == 421
        assert "inside" not in answer.text
    with pytest.raises(WebSocketDisconnect), guarded.websocket_connect("/talk", headers={"host": host}):
        pass


def test_bound_elsewhere_it_has_other_names() -> None:
    guarded = client(SameOrigin(inside(), only_this_computer=False))
    assert guarded.get("/", headers={"host": "films.example"}).status_code == 200


def without_login() -> TestClient:
    return client(SameOrigin(inside(), only_this_computer=False, names=names_of_this_computer()))


@pytest.mark.parametrize(
    "host",
    [
        "192.168.0.2:7860",
        "[fe80::1]:7860",
        "localhost:7860",
        socket.gethostname(),
        f"{socket.gethostname().partition('.')[0].upper()}.local:7860",
    ],
)
def test_without_a_login_it_goes_by_addresses_and_its_own_names(host: str) -> None:
    assert without_login().get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example:7860", "192.168.0.2.evil.example", "", "[::1", "x.local", ".local"])
def test_without_a_login_no_other_name_leads_to_it(host: str) -> None:
    for method in METHODS:
        answer = without_login().request(method, "/media/1", headers={"host": host})
        assert answer.status_code == 421
        assert "inside" not in answer.text
    with pytest.raises(WebSocketDisconnect), without_login().websocket_connect("/talk", headers={"host": host}):
        pass


@pytest.mark.parametrize("only_this_computer", [True, False])
@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({}, True),
        ({"origin": "http://localhost:7860"}, True),
        ({"origin": "HTTP://LOCALHOST:7860"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "https://films.example"}, False),
        ({"origin": "http://localhost:8000"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://localhost:7860.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_other_pages_change_nothing(only_this_computer: bool, headers: dict[str, str], is_own: bool) -> None:
    app = SameOrigin(inside(), only_this_computer=only_this_computer)
    guarded = client(app)
    for method in ("POST", "PUT", "DELETE"):
        assert guarded.request(method, "/", headers=headers).status_code == (200 if is_own else 403)
    assert guarded.get("/", headers=headers).status_code == 200
    if is_own:
        with guarded.websocket_connect("ws://localhost:7860/talk", headers=headers) as talking:
            assert talking.receive_text() == "inside"
    else:
        with pytest.raises(WebSocketDisconnect), guarded.websocket_connect("ws://localhost:7860/talk", headers=headers):
            pass


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        *((host, True) for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.53")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.0.2", "127.0.0.1.example", "")),  # noqa: S104
    ],
)
def test_is_loopback(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here


@pytest.fixture
def served() -> Iterator[Callable[[Any], str]]:
    """Starts a real server for an application; gives its address."""
    running: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def start(app: Any) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread, listening))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for server, thread, listening in running:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()
        assert not thread.is_alive()


def test_on_a_real_server(served: Callable[[Any], str]) -> None:
    address = served(SameOrigin(RequireLogin(inside(), "ada:lovelace", token=TOKEN), only_this_computer=True))
    with httpx.Client() as browser:
        assert browser.get(address).status_code == 401
        assert browser.post(address, content=b"x" * 100_000).status_code == 401
        assert browser.get(address, auth=("ada", "lovelace")).status_code == 200
        assert browser.get(address, headers={"host": "evil.example"}, auth=("ada", "lovelace")).status_code == 421
        assert browser.head(address).content == b""
        answer = browser.get(f"{address}//evil.example?token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/evil.example")
        assert browser.get(address).status_code == 200
        assert browser.post(address, headers={"origin": "http://evil.example"}).status_code == 403


def test_every_answer_says_what_a_browser_may_do_with_it() -> None:
    answer = client(SafeHeaders(inside())).get("/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == ("nosniff", "same-origin")
