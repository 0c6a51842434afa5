"""The expression above which a gene is to be detected, as a number or in words."""

from __future__ import annotations

import re

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError

__all__ = ["thresholds"]

_TIMES, _QUANTILE = re.compile(r"(\d*\.?\d+)\s*[x×]"), re.compile(r"q(\d*\.?\d+)")
_EXPECTED = "a number in log1p(CP10k), a multiple of the mean such as '1.5x', or a quantile such as 'q0.75'"


def thresholds(
    above: float | str, measured: Float[np.ndarray, "s g"], genes: Array
) -> Float[np.ndarray, " g"]:
    """Return the threshold of each gene in log1p(CP10k).

    Parameters
    ----------
    above
        A number; ``"1.5x"``: so many times the expression of the section, which is the CP10k at the mean of
        log1p(CP10k) over the measured spots; ``"q0.75"``: a quantile of log1p(CP10k) over them.
    measured
        log1p(CP10k) at the spots.
    genes
        Names, for errors.

    Raises
    ------
    UsageError
        For other words, a number below 0, and thresholds that no spot exceeds, for any gene.

    Examples
    --------
    >>> measured = np.array([[0.0], [1.0], [2.0]])
    >>> [float(thresholds(above, measured, np.array(["EPCAM"]))[0]) for above in (0.5, "1x", "q0.5")]
    [0.5, 1.0, 1.0]
    """
    text = str(above).strip().lower()
    if words := _TIMES.fullmatch(text):
        values = np.log1p(float(words[1]) * np.expm1(measured.mean(axis=0)))
    elif words := _QUANTILE.fullmatch(text):
        share = float(words[1])
        if not share <= 1:
            raise UsageError(f"Expected a quantile of `above` from q0 to q1, got '{above}'.")
        values = np.quantile(measured, share, axis=0)
    else:
        try:
            values = np.full(len(genes), float(text))
        except ValueError:
            raise UsageError(f"Expected `above` as {_EXPECTED}; got '{above}'.") from None
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise UsageError(
            f"Expected `above` of 0 or more, because expression is never below 0; got '{above}'."
        )
    highest = measured.max(axis=0)
    if (values >= highest).all():
        raise UsageError(
            f"No spot has more {genes[0]} than `above` {values[0]:.3g}: the highest is {highest[0]:.3g} log1p(CP10k). "
            "Choose a lower one."
        )
    return np.asarray(values, dtype=np.float64)
