"""What is said of the accuracy of a fit, in two sentences; and of a gene, in a line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float

from .accuracy import NO_GRADE
from .effective_resolution import LEAST_RELIABILITY

__all__ = [
    "MOSTLY_DEPTH",
    "accuracy_sentences",
    "cell_line",
    "cell_sentence",
    "follows_depth",
    "gene_line",
    "reliable_as",
]

#: said of a gene that is predicted, but hardly beyond the total counts of the spots
MOSTLY_DEPTH = "its pattern is mostly that of total counts"
# what a gene of a prediction at cells is reliable as, and what is said of it
_CELLS, _MAP = "single cells", "map of 50 µm"
_TOO_WEAK = ("weak", NO_GRADE)
_LINES = {
    _CELLS: "reliable cell by cell",
    _MAP: "reliable as a map of 50 µm, not cell by cell",
    "neither": "reliable neither cell by cell nor as a map of 50 µm",
}
# below this r a map has no pattern that could be one of depth
_LEAST_R = 0.15
# of the correlation; less than this is left over given depth
_MOSTLY = 0.5
# a gain within so many standard errors may be chance
_CHANCE = 2.0
# what three decimals show as zero
_ROUNDED = 0.0005


def accuracy_sentences(fit: Mapping[str, Any], *, uses_image: bool) -> tuple[str, ...]:
    """Return in sentences how many genes are reliable, and what the image and gene programs added, where it is known.

    Parameters
    ----------
    fit
        Summary of a fit: ``reliable_genes``, ``expressed_genes``, ``mean_r_loo``, ``mean_r_loo_without_image`` and
        ``mean_r_loo_image_gain_se``; of a fit with gene programs also ``programs``.
    uses_image
        Whether the model was to use the image.

    Examples
    --------
    >>> fit = {"reliable_genes": 214, "expressed_genes": 986, "mean_r_loo": 0.156, "image_weight": 0.25}
    >>> fit |= {"mean_r_loo_without_image": 0.151, "mean_r_loo_image_gain_se": 0.001}
    >>> for sentence in accuracy_sentences(fit, uses_image=True):
    ...     print(sentence)
    214 of 986 expressed genes fitted have a reliable map, beyond total counts.
    The image raised r at spots left out from 0.151 to 0.156 (± 0.001).
    """
    reliable, expressed = fit.get("reliable_genes"), fit.get("expressed_genes")
    if reliable is None or expressed is None:
        return ()
    genes = _genes_sentence(int(reliable), int(expressed))
    return genes, _image_sentence(fit, uses_image=uses_image), *_programs_sentence(fit.get("programs"))


def follows_depth(r: Float[np.ndarray, " g"], r_given_depth: Float[np.ndarray, " g"]) -> Array:
    """Return whether each gene is predicted, but less than half of its r is left given depth.

    Examples
    --------
    >>> import numpy as np
    >>> follows_depth(np.array([0.5, 0.5, 0.1]), np.array([0.1, 0.4, 0.0])).tolist()
    [True, False, False]
    """
    return np.asarray((r >= _LEAST_R) & (r_given_depth < _MOSTLY * r))


def gene_line(r: float, r_given_depth: float) -> str:
    """Return r of a gene at spots left out, and given depth, as figures state it; empty where it is unknown.

    Examples
    --------
    >>> gene_line(0.5, 0.1)
    'r 0.50 at spots left out, 0.10 given depth: its pattern is mostly that of total counts'
    >>> gene_line(float("nan"), float("nan"))
    ''
    """
    if math.isnan(r):
        return ""
    text = f"r {r:.2f} at spots left out"
    if math.isnan(r_given_depth):
        return text
    text += f", {r_given_depth:.2f} given depth"
    return f"{text}: {MOSTLY_DEPTH}" if follows_depth(np.array([r]), np.array([r_given_depth]))[0] else text


def reliable_as(
    cell: Float[np.ndarray, " g"], own: Float[np.ndarray, " g"], wide: Float[np.ndarray, " g"], grade: Array
) -> Array:
    """Return what each gene of a prediction at cells is reliable as.

    ``"single cells"``: the value of a cell is known, and so is what it differs by from its neighbourhood; ``"map of
    50 µm"``: the mean of a neighbourhood is; ``"neither"``, as for all genes whose grade is weak or none, whatever the
    variance that spots leave open; ``"unknown"``.

    Parameters
    ----------
    cell, own, wide, grade
        ``reliability_cell``, ``reliability_own``, ``reliability_50um`` and ``grade`` of a
        :class:`~histosge.prediction.factored.Basis`.

    Examples
    --------
    >>> share = np.array([0.6, 0.6, 0.6])
    >>> reliable_as(share, np.array([0.5, 0.1, 0.5]), share, np.array(["fair", "fair", "weak"])).tolist()
    ['single cells', 'map of 50 µm', 'neither']
    """
    graded = ~np.isin(grade, _TOO_WEAK)
    maps = graded & (wide >= LEAST_RELIABILITY)
    single = maps & (cell >= LEAST_RELIABILITY) & (own >= LEAST_RELIABILITY)
    words = np.where(single, _CELLS, np.where(maps, _MAP, "neither"))
    return np.asarray(np.where(np.isnan(cell) | np.isnan(own) | np.isnan(wide), "unknown", words))


def cell_line(word: str) -> str:
    """Return what figures state of a gene of a prediction at cells; empty where it is unknown.

    Examples
    --------
    >>> cell_line("map of 50 µm")
    'reliable as a map of 50 µm, not cell by cell'
    """
    return _LINES.get(word, "")


def cell_sentence(words: Array, width_um: float) -> str:
    """Return how many genes are reliable cell by cell, and how many more as maps of 50 µm; empty where all are unknown.

    Examples
    --------
    >>> cell_sentence(np.array(["single cells", "map of 50 µm", "neither", "unknown"]), 9.6)
    'Of 3 genes 1 is reliable cell by cell (10 µm), 1 as a map of 50 µm but not cell by cell, 1 neither.'
    """
    known = words[words != "unknown"]
    if not len(known):
        return ""
    single, maps, neither = (int((known == word).sum()) for word in (_CELLS, _MAP, "neither"))
    have, many = "is" if single == 1 else "are", "a map" if maps == 1 else "maps"
    return (
        f"Of {_thousands(len(known))} genes {_thousands(single)} {have} reliable cell by cell ({width_um:.0f} µm), "
        f"{_thousands(maps)} as {many} of 50 µm but not cell by cell, {_thousands(neither)} neither."
    )


def _genes_sentence(reliable: int, expressed: int) -> str:
    if not reliable:
        return (
            f"None of {_thousands(expressed)} expressed genes fitted has a reliable map, beyond total counts."
        )
    have = "has" if reliable == 1 else "have"
    numbers = f"{_thousands(reliable)} of {_thousands(expressed)} expressed genes fitted"
    return f"{numbers} {have} a reliable map, beyond total counts."


def _image_sentence(fit: Mapping[str, Any], *, uses_image: bool) -> str:
    after, before = fit.get("mean_r_loo"), fit.get("mean_r_loo_without_image")
    if not uses_image:
        return "No image was used."
    if not fit.get("image_weight") or after is None or before is None:
        return "The image was not used: it did not help to predict spots left out."
    gain, stated = float(after) - float(before), fit.get("mean_r_loo_image_gain_se")
    error = float(stated or 0.0)
    precision = f" (± {error:.3f})" if error >= _ROUNDED else " (± less than 0.001)"
    numbers = f"from {before:.3f} to {after:.3f}{'' if stated is None else precision}"
    if abs(gain) <= _CHANCE * error:
        return f"The image made no sure difference: r at spots left out went {numbers}."
    return f"The image {'raised' if gain > 0 else 'lowered'} r at spots left out {numbers}."


def _programs_sentence(programs: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return what gene programs were worth to the factors of a fit; nothing where there are none."""
    if not programs:
        return ()
    used, worth = int(programs.get("used", 0)), programs.get("worth") or {}
    if not used:
        return ("The gene programs were not used: they did not help to predict spots left out.",)
    before, after = worth.get("0"), worth.get(str(used))
    if not before or not after:
        return (f"{used} directions of gene programs were used.",)
    r, given_depth = (
        f"from {before[name]:.3f} to {after[name]:.3f}" for name in ("r_loo", "r_loo_given_depth")
    )
    return (
        f"{used} directions of gene programs were used: r of the factors at spots left out went {r}, given depth "
        f"{given_depth}.",
    )


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
