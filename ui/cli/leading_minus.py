"""Tells a search text that begins with a minus, such as ``-sunset beach``, from options.

Click's ``ignore_unknown_options`` does not do: it reads ``-kitchen`` as ``-k itchen``, and takes ``-json`` for a text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from ui.cli.options import Command

_NEGATED = re.compile(r"-(?:[^\W\d_]\S|(?![A-Za-z])[^\W\d_]|[\"“„«]|\S+\s)")
_ATTACHED_NUMBER = re.compile(r"-\w\s*=?\s*\d+")


class TextCommand(Command):
    """A command that takes a text, which may begin with a minus."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        options = [one for one in self.get_params(ctx) if one.param_type_name == "option"]
        names = {name for one in options for name in (*one.opts, *one.secondary_opts)}
        valued = {name for one in options if not one.is_flag for name in one.opts}
        return super().parse_args(ctx, with_text_last(args, names, valued))


def with_text_last(args: Sequence[str], names: Collection[str], valued: Collection[str]) -> list[str]:
    """Move texts that begin with a minus behind ``--``; arguments that hold ``--`` already stay as they are.

    Args:
        args: As they were typed.
        names: The names of all options.
        valued: The names of options that a value follows, which may begin with a minus itself.
    """
    if "--" in args:
        return list(args)
    before = ["", *args]
    texts = [place for place, arg in enumerate(args) if before[place] not in valued and _is_text(arg, names)]
    options = [arg for place, arg in enumerate(args) if place not in texts]
    return [*options, "--", *(args[place] for place in texts)] if texts else options


def _is_text(arg: str, names: Collection[str]) -> bool:
    """Whether it is neither an option nor one with a minus too few, such as ``-json``."""
    is_slip = f"-{arg.partition('=')[0]}" in names
    return _NEGATED.match(arg) is not None and not is_slip and _ATTACHED_NUMBER.fullmatch(arg) is None
