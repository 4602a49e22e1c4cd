import socket

import pytest

from indexer.core.errors import UsageError
from ui.cli.serve import show_page
from ui.server import FIRST_PORT, free_port
from ui.services.context import Context


def test_the_first_free_port_is_taken():
    port = free_port("127.0.0.1")
    assert port >= FIRST_PORT
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert free_port("127.0.0.1") > port


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"host": "203.0.113.7"}, "This machine has no address 203.0.113.7"),
        ({"login": "nobody"}, "a colon between"),
        ({"token": "short"}, "can be guessed"),
    ],
)
def test_what_cannot_be_served_is_said(tmp_path, asked, said):
    with pytest.raises(UsageError, match=said):
        show_page(Context.load(None, tmp_path / "index"), port=8000, **asked)


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} of 127.0.0.1 is taken"):
            show_page(Context.load(None, tmp_path / "index"), port=port)
