"""Where names stand among others."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np

from histosge.errors import UsageError

from .types import Int

__all__ = ["near_misses", "positions", "positions_or_refuse"]


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
    """Return a sentence that offers names like a mistyped one, with a leading space; empty where none is like it."""
    near = difflib.get_close_matches(name, [str(other) for other in among], n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def positions_or_refuse(names: Iterable[Any], among: Iterable[Any], what: str) -> Int[np.ndarray, " n"]:
    """Return the position of each name among others.

    Parameters
    ----------
    names
        Asked for.
    among
        Names there are.
    what
        What they are, for the sentence: ``"genes of section 'C2'"``.

    Raises
    ------
    UsageError
        For the first unknown name; near misses are offered.
    """
    names, known = list(names), list(among)
    columns = positions(names, known)
    for name, position in zip(names, columns, strict=True):
        if position < 0:
            raise UsageError(f"'{name}' is not among the {len(known)} {what}.{near_misses(str(name), known)}")
    return columns
