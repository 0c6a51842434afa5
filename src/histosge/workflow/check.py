"""A finding of ``histosge doctor``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Check"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Parameters
    ----------
    name
        What was checked.
    verdict
        ``"ok"``, ``"note"`` for what limits results, ``"bad"`` for what prevents them.
    finding
        One line.
    """

    name: str
    verdict: Literal["ok", "note", "bad"]
    finding: str

    def as_dict(self) -> dict[str, Any]:
        """Return the check as plain values."""
        return asdict(self)
