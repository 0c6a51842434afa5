"""What a stage noticed about the data, kept as data so that every face can show it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from histosge.errors import HistosgeWarning

__all__ = ["Note", "emit"]


@dataclass(frozen=True, slots=True)
class Note:
    """One remark: ``level`` is ``"info"`` (which image was taken) or ``"warning"`` (spots without counts)."""

    level: Literal["info", "warning"]
    text: str


def emit(notes: Iterable[Note]) -> None:
    """Raise the warnings among ``notes`` as :class:`HistosgeWarning`, for users of the Python interface."""
    for note in notes:
        if note.level == "warning":
            warnings.warn(note.text, HistosgeWarning, stacklevel=3)
