"""What a stage noticed about the data, kept as data so that every face can show it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from histosge.errors import HistosgeWarning

__all__ = ["Message", "emit"]


@dataclass(frozen=True, slots=True)
class Message:
    """One remark: ``level`` is ``"info"`` (which image was taken) or ``"warning"`` (spots without counts)."""

    level: Literal["info", "warning"]
    text: str


def emit(messages: Iterable[Message]) -> None:
    """Raise the warnings among ``messages`` as :class:`HistosgeWarning`, for users of the Python interface."""
    for note in messages:
        if note.level == "warning":
            warnings.warn(note.text, HistosgeWarning, stacklevel=3)
