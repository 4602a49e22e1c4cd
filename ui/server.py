"""The page as a server: the one place that puts the web application, its protection and a port together."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from indexer.core.errors import UsageError
from ui.services.context import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from ui.services.library import Library

FIRST_PORT = 7860
_LAST_PORT = 7879
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - what the user may type


def serve_page(
    context: Context,
    host: str,
    port: int,
    *,
    on_ready: Callable[[str, bool], None],
    login: str = "",
    token: str = "",
) -> None:
    """Serve the page until Ctrl-C; port 0 stands for the first free one from 7860 on.

    Args:
        context: The settings in force.
        host: The address to listen at.
        port: The port, or 0.
        on_ready: Called with the page's link, and whether all who can reach it may use it.
        login: ``USER:PASSWORD``, or empty.
        token: A secret that the link holds, or empty.

    Raises:
        UsageError: the web extra is not installed, the login cannot be read, or the port is taken.
    """
    # Gradio reads these when it loads; no telemetry is sent.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if find_spec("gradio") is None:
        raise UsageError("The page needs Gradio, which is not installed.", hint="pip install 'sceneseek[web]'")
    import uvicorn

    from ui.web.access import is_loopback

    port = port or free_port(host)
    if not _is_free(host, port):
        raise UsageError(f"Port {port} of {host} is taken.", hint="Name another one: --port NUMBER.")
    is_local = is_loopback(host)
    guard = _guard(login, token, is_local=is_local)
    with _page(context, guard, is_local=is_local) as (app, library):
        on_ready(_link(host, port, token, is_local=is_local), not (is_local or login or token))
        Thread(target=_warm_up, args=(library,), daemon=True).start()
        uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=3)


def free_port(host: str) -> int:
    """The first port from 7860 on that is free.

    Raises:
        UsageError: the first twenty are taken.
    """
    for port in range(FIRST_PORT, _LAST_PORT + 1):
        if _is_free(host, port):
            return port
    raise UsageError(f"The ports {FIRST_PORT} to {_LAST_PORT} are all taken.", hint="Name a free one: --port NUMBER.")


def _is_free(host: str, port: int) -> bool:
    """Whether a server could listen there.

    Raises:
        UsageError: this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise UsageError(
                f"This machine has no address {host}.", hint="Use 127.0.0.1, or 0.0.0.0 for all."
            ) from error
    return True


def _guard(login: str, token: str, *, is_local: bool) -> Callable[[ASGIApp], ASGIApp]:
    """What protects the page; checked before the page is built.

    Raises:
        UsageError: the login or the token cannot be used.
    """
    from ui.web.access import RequireLogin, SameOrigin, check_credentials, names_of_this_computer

    check_credentials(login, token)

    def guard(app: ASGIApp) -> ASGIApp:
        if not login and not token:
            names = None if is_local else names_of_this_computer()
            return SameOrigin(app, only_this_computer=is_local, names=names)
        # A login keeps strangers out whatever name the page goes by, as behind a proxy.
        return SameOrigin(RequireLogin(app, login, token=token), only_this_computer=False)

    return guard


@contextmanager
def _page(
    context: Context, guard: Callable[[ASGIApp], ASGIApp], *, is_local: bool
) -> Iterator[tuple[ASGIApp, Library]]:
    """The page as a protected web application, and the library it shows; closed at the end."""
    from ui.services.evaluation import Evaluations
    from ui.services.index_jobs import Jobs
    from ui.services.library import Library
    from ui.web.app import build_app

    library = Library(context)
    jobs = Jobs(context, allowed_roots=None if is_local else _indexed_folders(library))
    evaluations = Evaluations(library)
    try:
        yield guard(build_app(library, jobs, evaluations, is_local=is_local)), library
    finally:
        jobs.close()
        evaluations.close()
        library.close()


def _indexed_folders(library: Library) -> list[Path]:
    """The only folders that visitors from the network may have indexed again."""
    catalogue = library.catalogue()
    return list(catalogue.manifest.roots) if catalogue and catalogue.manifest else []


def _link(host: str, port: int, token: str, *, is_local: bool) -> str:
    shown = "localhost" if is_local else socket.gethostname() if host in _ANY_ADDRESS else host
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
    return f"{address}?token={token}" if token else address


def _warm_up(library: Library) -> None:
    """Load the models, and measure what unrelated queries find, before the first visitor has to wait for it."""
    from ui.web.search_form import SearchForm
    from ui.web.search_page import SearchPage

    SearchPage(library).answer(SearchForm(text="hello"))
