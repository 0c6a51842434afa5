"""Messages about the data, kept as values so that every interface can show them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from histosge.errors import HistosgeWarning

__all__ = ["Message", "emit"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message: ``level`` is ``"info"`` (which image was taken) or ``"warning"`` (spots without counts)."""

    level: Literal["info", "warning"]
    text: str


def emit(messages: Iterable[Message]) -> None:
    """Raise the warnings among ``messages`` as :class:`HistosgeWarning`, for users of the Python interface."""
    for message in messages:
        if message.level == "warning":
            warnings.warn(message.text, HistosgeWarning, stacklevel=3)
