"""A text that begins with a minus, such as ``-sunset beach``, told from options.

The shell hands over ``"-sunset beach"`` as it would an option. But what has more than one letter behind a single minus
is none of the options here, whose short names have one: so it is read as what comes after ``--``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

__all__ = ["with_text_last"]

_NEGATED = re.compile(r"-(?:[^\W\d_]\S|(?![A-Za-z])[^\W\d_]|[\"“„«]|\S+\s)")
_ATTACHED_NUMBER = re.compile(r"-\w\s*=?\s*\d+")


def with_text_last(args: Iterable[str], names: Collection[str], valued: Collection[str]) -> list[str]:
    """The same arguments with those that are texts with a minus behind ``--``; as they are where that is among them.

    Args:
        args: As they were typed.
        names: What the options are called.
        valued: Those of them that are followed by a value, which may begin with a minus itself.
    """
    typed = list(args)
    if "--" in typed:
        return typed
    before = ["", *typed]
    texts = [place for place, arg in enumerate(typed) if before[place] not in valued and _is_text(arg, names)]
    options = [arg for place, arg in enumerate(typed) if place not in texts]
    return [*options, "--", *(typed[place] for place in texts)] if texts else typed


def _is_text(arg: str, names: Collection[str]) -> bool:
    """Whether it is no option, nor one with a minus too few, as ``-json`` is."""
    is_slip = f"-{arg.partition('=')[0]}" in names
    return _NEGATED.match(arg) is not None and not is_slip and _ATTACHED_NUMBER.fullmatch(arg) is None
