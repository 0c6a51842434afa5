"""Numbers of epochs as tables show them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["epochs_text", "span"]


def epochs_text(epochs: Iterable[float | None], kept: Iterable[float | None]) -> str:
    """Return the epochs that were trained, in brackets the one whose weights predict; nothing where none was.

    Examples
    --------
    >>> epochs_text([47, 53], [32, 38]), epochs_text([1000], [None]), epochs_text([], [])
    ('47–53 (32–38)', '1000', '')
    """
    trained, best = span(epochs), span(kept)
    return f"{trained} ({best})" if trained and best else trained


def span(values: Iterable[float | None]) -> str:
    """Return the least and the largest of some whole numbers, as text; nothing where there are none.

    Examples
    --------
    >>> span([48, 1000]), span([90, 90]), span([None])
    ('48–1000', '90', '')
    """
    known = sorted({int(value) for value in values if value is not None and np.isfinite(value)})
    return "–".join(map(str, dict.fromkeys((known[0], known[-1])))) if known else ""
