"""Effective resolution: the width at which the mean expression over a disk is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.names import positions_or_refuse
from histosge._runtime.types import Array, Float, frozen
from histosge.errors import DataError
from histosge.section.locations import Locations

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEAST_RELIABILITY", "UNEXPLAINED_SLOPE", "EffectiveResolution", "UnexplainedVariance"]

#: a mean is known where at least this share of its variance is explained
LEAST_RELIABILITY = 0.5
#: near measured spots the unexplained variance falls so many times as fast as the posterior variance. Measured on cells
#: of a breast section, with Visium's and legacy spots: docs/results/effective-resolution.md
UNEXPLAINED_SLOPE = 4.0
# rounding must not move a gene to the next width
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class UnexplainedVariance:
    """From posterior variances that a model states to the variance that is left unexplained, gene by gene.

    Parameters
    ----------
    signal
        Variance over the spots of expression without the noise of the counts, at equal depth.
    scale
        Factor on posterior variances, at most 1: below where the model states more than there is.
    intercept
        Unexplained variance of a spot where the posterior variance is 0. Elsewhere it rises by
        :data:`UNEXPLAINED_SLOPE` times the posterior variance, and is never below the scaled one. NaN for genes whose
        pattern is not measured reproducibly.
    """

    signal: Float[np.ndarray, " g"]
    scale: Float[np.ndarray, " g"]
    intercept: Float[np.ndarray, " g"]

    def take(self, rows: Array) -> UnexplainedVariance:
        """Return the genes at ``rows``."""
        return UnexplainedVariance(self.signal[rows], self.scale[rows], self.intercept[rows])

    def excess(self, posterior: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "n g"]:
        """Return what is unexplained of spots beyond their scaled posterior variance: structure finer than spots."""
        unexplained = np.minimum(self.intercept + UNEXPLAINED_SLOPE * posterior, self.signal)
        return np.asarray(np.maximum(unexplained - self.scale * posterior, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class EffectiveResolution:
    """How much of the variance of mean expression over disks is explained, by the width of the disks.

    The mean is one over the tissue in a disk, of log1p(CP10k). Its reliability is the share of its variance over the
    section that the prediction explains. The effective resolution is the smallest width whose reliability is at least
    0.5: ``inf`` where none of ``widths_um`` has it, NaN for genes whose pattern is not measured reproducibly, of which
    nothing can be said.

    Parameters
    ----------
    genes
        Names.
    widths_um
        Diameters of the disks, ascending.
    locations
        Centres of the disks.
    predicted
        Variance over the section of the predicted means, relative to that of spots, widths × genes.
    score_variance
        Posterior variance of each factor's mean over disks of each width, and last over a spot: (widths + 1) × disks ×
        factors.
    squared_loadings
        From variances of the factors to those of the genes, genes × factors.
    unexplained
        What spots that were left out say of these variances.
    fine_share
        Variance of fine structure over disks of each width, relative to that over a spot.

    Raises
    ------
    DataError
        When shapes disagree.
    """

    genes: Array
    widths_um: tuple[float, ...]
    locations: Locations
    predicted: Float[np.ndarray, "w g"]
    score_variance: Float[np.ndarray, "v n k"]
    squared_loadings: Float[np.ndarray, "g k"]
    unexplained: UnexplainedVariance
    fine_share: Float[np.ndarray, " w"]

    def __post_init__(self) -> None:
        genes = np.asarray(self.genes, dtype=str)
        shape, disks = (len(self.widths_um), len(genes)), (len(self.widths_um) + 1, len(self.locations))
        if self.predicted.shape != shape or len(self.fine_share) != shape[0]:
            raise DataError(f"Expected variances of {shape}, got {self.predicted.shape}.")
        if self.score_variance.shape[:2] != disks or len(self.squared_loadings) != len(genes):
            raise DataError(f"Expected variances of {disks} disks, got {self.score_variance.shape[:2]}.")
        object.__setattr__(self, "genes", frozen(genes))

    def __repr__(self) -> str:
        known = np.isfinite(self.resolution_um).sum()
        return f"EffectiveResolution({len(self.genes)} genes, {known} of them known at {self.widths_um[-1]:g} µm)"

    @property
    def reliability(self) -> Float[np.ndarray, "w g"]:
        """Share of the variance that is explained, over all disks of a width."""
        explained, left = self._variances()
        return _share(explained, np.stack([part.mean(axis=0) for part in left]))

    @property
    def resolution_um(self) -> Float[np.ndarray, " g"]:
        """The effective resolution of each gene in µm, over the section."""
        return _smallest(self.reliability, self.widths_um)

    def reliability_at(self, gene: str, width_um: float) -> Float[np.ndarray, " n"]:
        """Return the reliability at each location, for disks of one of the widths.

        It is 1 − (variance that is left there) / (variance over the section), and never below 0.

        Raises
        ------
        UsageError
            For a gene or a width that was not computed.
        """
        return np.asarray(self.only([gene])._maps()[self._row(width_um)])

    def reliability_within(
        self, width_um: float, around_um: float, predicted_share: Float[np.ndarray, " g"]
    ) -> Float[np.ndarray, " g"]:
        """Return the share explained of what disks of one width differ by from the mean over wider disks around them.

        NaN where the reliability is.

        Parameters
        ----------
        width_um, around_um
            Two of the widths.
        predicted_share
            Part of the variance of the predicted means at ``width_um`` that lies within the wider disks.

        Raises
        ------
        UsageError
            For a width that was not computed.
        """
        explained, left = self._variances()
        total = explained + np.stack([part.mean(axis=0) for part in left])
        row, around = self._row(width_um), self._row(around_um)
        within, known = total[row] - total[around], explained[row] * predicted_share
        # where the wider disks vary as much there is nothing left to tell
        share = np.divide(known, within, out=np.zeros(len(known)), where=within > 0)
        return np.asarray(np.where(np.isnan(total[row]), np.nan, np.minimum(share, 1.0)))

    def sd_at(self, gene: str, width_um: float) -> Float[np.ndarray, " n"]:
        """Return the standard deviation of the true mean around the predicted one, over disks of one of the widths.

        It holds what the fit leaves open and the structure that is finer than spots, not the noise of a measurement. It
        is never below what the fit states: for one gene, spots that were left out agree too well by chance as often as
        not. NaN for a gene whose pattern is not measured reproducibly.

        Raises
        ------
        UsageError
            For a gene or a width that was not computed.
        """
        single, row = self.only([gene]), self._row(width_um)
        left, posterior = single._variances()[1][row], single.score_variance[row] @ single.squared_loadings.T
        # the scale is 1 at most: instead of it, the whole posterior variance counts
        return np.asarray(np.sqrt(left + (1 - single.unexplained.scale) * posterior)[:, 0])

    def map_um(self, gene: str) -> Float[np.ndarray, " n"]:
        """Return the effective resolution at each location, in µm.

        Raises
        ------
        UsageError
            For a gene that was not computed.
        """
        return _smallest(self.only([gene])._maps(), self.widths_um)

    def only(self, genes: Sequence[str]) -> EffectiveResolution:
        """Return the same for these genes, in this order.

        Raises
        ------
        UsageError
            For a gene that was not computed.
        """
        rows = positions_or_refuse(genes, self.genes, "genes computed")
        return replace(
            self,
            genes=self.genes[rows],
            predicted=self.predicted[:, rows],
            squared_loadings=self.squared_loadings[rows],
            unexplained=self.unexplained.take(rows),
        )

    def known_at_um(self) -> dict[float, int]:
        """Return how many genes are known at each width: their effective resolution is no larger."""
        return {width: int((self.resolution_um <= width).sum()) for width in self.widths_um}

    def to_frame(self) -> pd.DataFrame:
        """Return a table: a row for each gene, with its effective resolution and its reliability by width."""
        import pandas as pd

        columns = {"gene": self.genes, "resolution_um": self.resolution_um}
        reliability = self.reliability
        columns |= {
            f"reliability_{width:g}um": row for width, row in zip(self.widths_um, reliability, strict=True)
        }
        return pd.DataFrame(columns)

    def _row(self, width_um: float) -> int:
        known = [f"{width:g}" for width in self.widths_um]
        return int(positions_or_refuse([f"{width_um:g}"], known, "widths computed")[0])

    def _variances(self) -> tuple[Array, list[Array]]:
        """Return the explained variance by width and gene, and for each width what is left, disks × genes."""
        *of_widths, of_spot = (part @ self.squared_loadings.T for part in self.score_variance.astype(float))
        excess, scale = self.unexplained.excess(of_spot), self.unexplained.scale
        left_of_spot = (scale * of_spot + excess).mean(axis=0)
        explained = np.maximum(self.unexplained.signal - left_of_spot, 0.0) * self.predicted
        shares = zip(of_widths, self.fine_share, strict=True)
        return explained, [scale * posterior + share * excess for posterior, share in shares]

    def _maps(self) -> Array:
        """Return the reliability of the first gene, widths × disks: 1 − what is left there over the whole variance."""
        explained, left = self._variances()
        total = explained[:, 0] + np.array([part[:, 0].mean() for part in left])
        shares = [
            1 - part[:, 0] / whole if whole > 0 else np.full(len(part), np.nan)
            for part, whole in zip(left, total, strict=True)
        ]
        return np.asarray(np.maximum(np.stack(shares), 0.0))


def _share(explained: Array, unexplained: Array) -> Array:
    total = explained + unexplained
    share = np.full(total.shape, np.nan)
    return np.asarray(np.divide(explained, total, out=share, where=total > 0), dtype=np.float64)


def _smallest(reliability: Array, widths_um: tuple[float, ...]) -> Array:
    """Return the smallest width that is reliable, down the rows; NaN where reliability is unknown."""
    reliable = reliability >= LEAST_RELIABILITY - _TOLERANCE
    widths = np.append(np.asarray(widths_um, dtype=np.float64), np.inf)
    first = np.where(reliable.any(axis=0), reliable.argmax(axis=0), len(widths_um))
    return np.asarray(np.where(np.isnan(reliability).any(axis=0), np.nan, widths[first]))
