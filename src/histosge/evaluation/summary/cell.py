"""A cell of a table for readers: a value as text, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Cell", "absent", "mean_of", "number", "percent", "standard_error", "words"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value, its text, and why there is none.

    Parameters
    ----------
    text
        As shown; where there is no value, the reason.
    value
        What rows are sorted by; ``None`` where there is none.
    error
        Standard error, or half of the width of an interval; ``None`` where there is none.

    Examples
    --------
    >>> number(0.19534, error=0.0061).text
    '0.1953 ± 0.0061'
    >>> absent("one seed").text
    '– (one seed)'
    """

    text: str
    value: float | str | None = None
    error: float | None = None

    @property
    def is_absent(self) -> bool:
        """Whether there is a reason in place of a value."""
        return self.value is None


def absent(reason: str) -> Cell:
    """Return a cell without a value."""
    return Cell(f"– ({reason})")


def words(text: str, otherwise: str) -> Cell:
    """Return a cell of text; where it is empty, of the reason why."""
    return Cell(text, text) if text else absent(otherwise)


def number(
    value: float | None,
    otherwise: str = "undefined",
    *,
    digits: int = 4,
    signed: bool = False,
    error: float | None = None,
    no_error: str = "",
) -> Cell:
    """Return a cell of a number, with its error or the reason why there is none."""
    if value is None or not np.isfinite(value):
        return absent(otherwise)
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    if error is not None:
        text += f" ± {error:.{digits}f}"
    elif no_error:
        text += f" ({no_error})"
    return Cell(text, float(value), error)


def percent(value: float | None, otherwise: str = "undefined", *, digits: int = 0) -> Cell:
    """Return a cell of a share as per cent."""
    if value is None or not np.isfinite(value):
        return absent(otherwise)
    return Cell(f"{100 * value:.{digits}f} %", float(value))


def standard_error(values: Sequence[float]) -> float | None:
    """Return the standard error of a mean; ``None`` of fewer than two values."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None


def mean_of(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are there; ``None`` where none is."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None
