"""Principal axes of standardised profiles, of one source and of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float, Int
from histosge.prediction.principal_components import principal_axes

from .profiles import Census, Profiles

__all__ = ["WINSORISE_SD", "merged_axes", "source_axes"]

#: standardised values further from 0 are set to this: the usual rule of three standard deviations
WINSORISE_SD = 3.0
# axes that are kept of each source, before sources are merged; those of a few hundred spots are all of them
_AXES_OF_SOURCE = 120
# a gene counted in a smaller share of profiles, or in fewer, has no direction of its own
_LEAST_DETECTED, _LEAST_PROFILES = 0.01, 5
_FLAT = 1e-6


def source_axes(profiles: Profiles, census: Census) -> Float[np.ndarray, "k g"]:
    """Return the principal axes of a source, each times its standard deviation.

    Counts are scaled to the median depth, then log1p; each gene is centred and divided by its standard deviation,
    winsorised at :data:`WINSORISE_SD`, and standardised again. Genes that are hardly ever counted are 0. The source is
    read in blocks whose axes are merged (incremental principal components, ross2008), in bounded memory.

    Parameters
    ----------
    profiles
        The source.
    census
        As :meth:`Profiles.census` returns it.
    """
    least = max(_LEAST_PROFILES, _LEAST_DETECTED * len(census.rows))
    genes = np.flatnonzero(census.detected >= least)
    result = np.zeros((1, len(profiles.genes)))
    if not len(genes):
        return result
    scale = _Scale(census.median_depth, genes)

    def logs() -> Iterator[Array]:
        return map(scale, profiles.blocks_of(census.rows))

    first = _standardised(logs)

    def clipped() -> Iterator[Array]:
        return (np.clip(first(block), -WINSORISE_SD, WINSORISE_SD) for block in logs())

    second = _standardised(clipped)
    axes = np.zeros((0, len(genes)))
    for block in clipped():
        axes = _scaled_axes(np.concatenate([axes, second(block)]), _AXES_OF_SOURCE)
    result = np.zeros((len(axes), len(profiles.genes)))
    result[:, genes] = axes / np.sqrt(len(census.rows))
    return result


def merged_axes(
    parts: Sequence[tuple[Array, Int[np.ndarray, " m"]]], genes: int, most: int
) -> tuple[Float[np.ndarray, "k g"], Float[np.ndarray, " k"]]:
    """Return the principal axes of the mean covariance of several sources, and their variances.

    Sources have the same weight, whatever their number of profiles. A gene that some of them lack gets the variance
    that it has in the others; one that more than half of them lack is 0.

    Parameters
    ----------
    parts
        Of each source its axes times their standard deviations, and the positions of its genes among all.
    genes
        Number of all genes.
    most
        At most this many axes.
    """
    rows = np.zeros((sum(len(axes) for axes, _ in parts), genes))
    sources = np.zeros(genes)
    start = 0
    for axes, columns in parts:
        rows[start : start + len(axes), columns] = axes
        sources[columns] += (axes != 0).any(axis=0)
        start += len(axes)
    kept = sources >= len(parts) / 2
    rows *= np.where(kept, 1 / np.sqrt(np.maximum(sources, 1)), 0.0)
    if not rows.any():
        return np.zeros((0, genes)), np.zeros(0)
    axes = principal_axes(rows, most)
    return axes, np.asarray(((rows @ axes.T) ** 2).sum(axis=0))


class _Scale:
    """Counts scaled to the median depth, as log1p, of some genes."""

    def __init__(self, median_depth: float, genes: Int[np.ndarray, " g"]) -> None:
        self.median_depth, self.genes = median_depth, genes

    def __call__(self, counts: sparse.csr_matrix) -> Array:
        depth = np.maximum(np.asarray(counts.sum(axis=1), dtype=np.float64), 1.0)
        values = np.asarray(counts[:, self.genes].toarray(), dtype=np.float32)
        values *= np.asarray(self.median_depth / depth, dtype=np.float32)
        return np.asarray(np.log1p(values, out=values))


def _standardised(blocks: Callable[[], Iterable[Array]]) -> Callable[[Array], Array]:
    """Return the standardisation by the moments of all blocks."""
    number, total, squares = 0, 0.0, 0.0
    for block in blocks():
        number += len(block)
        total = total + block.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(block, dtype=np.float64).sum(axis=0)
    mean = np.asarray(total) / number
    sd = np.sqrt(np.maximum(np.asarray(squares) / number - mean**2, 0.0))
    inverse = np.where(sd > _FLAT, 1 / np.maximum(sd, _FLAT), 0.0)
    mean, inverse = mean.astype(np.float32), inverse.astype(np.float32)
    return lambda block: np.asarray((block - mean) * inverse)


def _scaled_axes(rows: Array, most: int) -> Array:
    """Return the principal axes of rows, each times the root of its sum of squares."""
    axes = principal_axes(rows, most)
    return np.asarray(np.sqrt(((rows @ axes.T) ** 2).sum(axis=0))[:, None] * axes)
