"""What was measured at the spots of two regions, and what a prediction says of the same regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.names import positions_or_refuse
from histosge._runtime.types import Array, Float
from histosge.errors import DataError, UsageError
from histosge.prediction.mean_depth import refuse_depth_adjusted
from histosge.section.expression import log_cp10k
from histosge.section.section import Section

from .regions import REST

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["RegionSpots", "name_of", "region_spots"]

# of the locations in a spot, those that must be in one of the two regions
_LEAST_COVERED = 0.5
# µm within which a spot without extent takes a location for its own
_SAME_UM = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class RegionSpots:
    """Measured spots of two regions.

    Parameters
    ----------
    xy_um
        Positions.
    share
        Of each spot in the first region; the remainder is in the second.
    values
        Measured log1p(CP10k).
    predicted
        Mean prediction over all locations of the first region less that of the second.
    """

    xy_um: Float[np.ndarray, "n 2"]
    share: Float[np.ndarray, " n"]
    values: Float[np.ndarray, "n g"]
    predicted: Float[np.ndarray, " g"]

    def __len__(self) -> int:
        return len(self.share)

    @property
    def sizes(self) -> tuple[float, float]:
        """Spots of both regions; a spot that both share counts in both by its shares."""
        return float(self.share.sum()), float((1 - self.share).sum())

    def at_most(self, number: int, seed: int) -> RegionSpots:
        """Return a random choice of so many spots, as many of either region where both have enough."""
        if len(self) <= number:
            return self
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self))
        first = self.share[order] > 0.5
        # the spots of each region are numbered, and the lowest numbers of both are taken
        rank = np.where(first, np.cumsum(first), np.cumsum(~first))
        rows = np.sort(order[np.argsort(rank, kind="stable")[:number]])
        return RegionSpots(self.xy_um[rows], self.share[rows], self.values[rows], self.predicted)


def name_of(adata: AnnData) -> str:
    """Return the name of a prediction's section, for sentences."""
    section = adata.uns["histosge"].get("section", {})
    return str(section.get("name", "the section")) if isinstance(section, dict) else "the section"


def region_spots(
    adata: AnnData, labels: Array, pair: tuple[str, str], genes: Sequence[str], *, section: Section | None
) -> RegionSpots:
    """Return the spots of two regions.

    Parameters
    ----------
    adata
        The prediction.
    labels
        Region of each location.
    pair
        Names of the two regions.
    genes
        Names.
    section
        What was measured. ``None`` takes the measured spots inside the prediction, each with the label of its centre;
        of a section, the shares of a spot are those of the locations inside it.

    Raises
    ------
    UsageError
        For unknown genes, a prediction with ``depth_adjusted``, one without measured spots, and a section that is not
        that of the prediction.
    """
    refuse_depth_adjusted(adata.uns["histosge"], "A comparison with measured spots")
    if isinstance(genes, str) or not len(genes) or len(set(genes)) < len(genes):
        raise UsageError(f"Expected a list of different gene names in `genes`, got {genes!r}.")
    columns = positions_or_refuse(genes, adata.var_names, f"genes of the prediction of '{name_of(adata)}'")
    first, second = ((labels != pair[1 - i]) if pair[i] == REST else (labels == pair[i]) for i in (0, 1))
    values, xy_um = (
        _measured(adata, columns, genes) if section is None else _of_section(adata, section, genes)
    )
    radius_um = 0.0 if section is None else section.spots.diameter_um / 2
    members = _members(np.asarray(adata.obsm["spatial_um"], dtype=np.float64), xy_um, radius_um)
    inside = np.array([[first[rows].sum(), second[rows].sum(), len(rows)] for rows in members], dtype=float)
    covered = inside[:, 0] + inside[:, 1]
    kept = (covered > 0) & (covered >= _LEAST_COVERED * inside[:, 2])
    share = inside[kept, 0] / covered[kept]
    return RegionSpots(xy_um[kept], share, values[kept], _predicted(adata, columns, first, second))


def _measured(adata: AnnData, columns: Array, genes: Sequence[str]) -> tuple[Array, Array]:
    observed = adata.obs["observed"].to_numpy(dtype=bool)
    if not observed.any():
        raise UsageError(
            f"The prediction of '{name_of(adata)}' holds no measured spot, and predicted locations are not independent "
            "samples. Give the section that was measured as `section`."
        )
    values = _dense(adata.layers["measured"][observed][:, columns])
    if not np.isfinite(values).all():
        raise DataError(f"Expected finite measured values in the prediction of '{name_of(adata)}'.")
    return values, np.asarray(adata.obsm["spatial_um"], dtype=np.float64)[observed]


def _of_section(adata: AnnData, section: Section, genes: Sequence[str]) -> tuple[Array, Array]:
    known = np.asarray(adata.uns["histosge"]["layout"]["spots"]).astype(str)
    if not section.has_counts or not np.array_equal(np.sort(known), np.sort(section.spots.ids.astype(str))):
        raise UsageError(
            f"Section '{section.name}' is not the measured section of this prediction of '{name_of(adata)}'. Give the "
            "one that the model was fitted to."
        )
    values = log_cp10k(section.counts, columns=section.columns(list(genes)))
    return _dense(values), np.asarray(section.spots.xy, dtype=np.float64)


def _members(locations_um: Array, spots_um: Array, radius_um: float) -> list[list[int]]:
    """Return the locations inside each spot."""
    from scipy.spatial import cKDTree

    rows: list[list[int]] = list(cKDTree(locations_um).query_ball_point(spots_um, max(radius_um, _SAME_UM)))
    return rows


def _predicted(adata: AnnData, columns: Array, first: Array, second: Array) -> Array:
    if not first.any() or not second.any():
        return np.full(len(columns), np.nan)
    matrix = adata.X[:, columns]
    return _dense(matrix[first].mean(axis=0)).ravel() - _dense(matrix[second].mean(axis=0)).ravel()


def _dense(matrix: object) -> Array:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=np.float64)
