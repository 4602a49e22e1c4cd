"""``sceneseek serve``: the page in the browser."""

from __future__ import annotations

import webbrowser
from threading import Thread
from typing import Annotated

from ui.cli.console import answer_console, plain, side_console
from ui.cli.options import Config, Device, Index, option
from ui.services.context import Context

_UNPROTECTED = (
    "[bold yellow]Warning:[/] all who can reach this address can see these videos and change the index. "
    "Add --auth USER:PASSWORD, or leave out --host."
)


def serve(
    index: Index = None,
    port: Annotated[
        int, option("--port N", "(default: 7860, or the next free one)", min=0, max=65535, show_default=False)
    ] = 0,
    host: Annotated[str, option("--host ADDRESS", "0.0.0.0 lets other machines in; use --auth then.")] = "127.0.0.1",
    auth: Annotated[str, option("--auth USER:PASSWORD", "Who may look.", envvar="SCENESEEK_AUTH")] = "",
    token: Annotated[str, option("--token TEXT", "A secret in the link instead.", envvar="SCENESEEK_TOKEN")] = "",
    opens_browser: Annotated[bool, option("--open/--no-open", "Open the browser.")] = False,
    device: Device = None,
    config: Config = None,
) -> None:
    """The page in your browser: search, play the moment, manage the library, evaluate."""
    context = Context.load(config, index, {"models.device": device})
    show_page(context, host, port, login=auth, token=token, opens_browser=opens_browser)


def show_page(
    context: Context,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    login: str = "",
    token: str = "",
    opens_browser: bool = False,
) -> None:
    """Serve the page until Ctrl-C, and say where it is; see ``serve_page``."""
    from ui.server import serve_page

    def announce(link: str, is_unprotected: bool) -> None:
        answer_console().print(f"sceneseek is at [bold]{plain(link)}[/]  (Ctrl-C stops it)", soft_wrap=True)
        if is_unprotected:
            side_console().print(_UNPROTECTED, soft_wrap=True)
        if opens_browser:
            Thread(target=webbrowser.open, args=(link,), daemon=True).start()

    serve_page(context, host, port, on_ready=announce, login=login, token=token)
