"""Where names stand among others."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from histosge.errors import UsageError

from .types import Int

__all__ = ["near_misses", "near_or_first", "positions", "positions_or_refuse", "refuse_repeats"]

# names that a message shows where none is like the one asked for
_SHOWN = 5


def positions(names: Iterable[Any], among: Iterable[Any]) -> Int[np.ndarray, " n"]:
    """Return the first position of each name among others, −1 for a name that is not there.

    Examples
    --------
    >>> positions(["CD3E", "EPCAM", "MUC2"], ["EPCAM", "CD3E"]).tolist()
    [1, 0, -1]
    """
    known = [str(name) for name in among]
    # of names that repeat, the first is put last and stays
    first = dict(zip(reversed(known), range(len(known) - 1, -1, -1), strict=True))
    return np.array([first.get(str(name), -1) for name in names], dtype=np.intp)


def near_misses(name: str, among: Iterable[Any]) -> str:
    """Return a sentence that offers names like a mistyped one, with a leading space; empty where none is like it.

    Examples
    --------
    >>> near_misses("epcam", ["EPCAM", "CD3E"])
    ' Did you mean EPCAM?'
    """
    known = [str(other) for other in among]
    near = difflib.get_close_matches(name, known, n=3)
    if not near:
        # symbols of human genes are upper case, and those of the mouse are not
        folded = {other.casefold(): other for other in reversed(known)}
        near = [folded[other] for other in difflib.get_close_matches(name.casefold(), folded, n=3)]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def near_or_first(name: str, among: Iterable[Any]) -> str:
    """Return a sentence that offers names like a mistyped one, or the first of all names, with a leading space.

    Examples
    --------
    >>> near_or_first("WNT5A", ["EPCAM", "CD3E"])
    ' The first of them are EPCAM, CD3E.'
    """
    known = [str(other) for other in among]
    if (near := near_misses(name, known)) or not known:
        return near
    return f" The first of them are {', '.join(known[:_SHOWN])}{', …' if len(known) > _SHOWN else ''}."


def positions_or_refuse(
    names: Iterable[Any], among: Iterable[Any], what: str, *, advice: str = ""
) -> Int[np.ndarray, " n"]:
    """Return the position of each name among others.

    Parameters
    ----------
    names
        Asked for.
    among
        Names there are.
    what
        What they are, for the sentence: ``"genes of section 'C2'"``.
    advice
        A further sentence for the message, of what to do.

    Raises
    ------
    UsageError
        For the first unknown name; near misses are offered.
    """
    names, known = list(names), list(among)
    columns = positions(names, known)
    for name, position in zip(names, columns, strict=True):
        if position < 0:
            hint = near_or_first(str(name), known) + (f" {advice}" if advice else "")
            raise UsageError(f"'{name}' is not among the {len(known)} {what}.{hint}")
    return columns


def refuse_repeats(
    items: Iterable[Any], what: str, *, same: Callable[[Any], Any] = lambda item: item
) -> None:
    """Refuse a list of which two items are the same.

    Parameters
    ----------
    items
        The list.
    what
        The name of the list, for the sentence: ``"seeds"``.
    same
        Two items are the same where this is equal.

    Raises
    ------
    UsageError
        For the first item that is the same as one before.
    """
    earlier: dict[Any, Any] = {}
    for item in items:
        key = same(item)
        if key in earlier:
            first = earlier[key]
            twice = f"'{item}' twice" if first == item else f"'{first}' and '{item}', which are the same"
            raise UsageError(f"Expected each of `{what}` once, got {twice}. Leave one of them out.")
        earlier[key] = item
