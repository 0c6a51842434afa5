"""Where a gene is above a threshold, with a bounded share of false detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.seeds import refuse_seed
from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.prediction.conformal_selection import Context, conformal_p, has_contrast
from histosge.prediction.detection import Detection
from histosge.prediction.threshold import thresholds
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.section.section import Section
from histosge.section.target import tissue_of
from histosge.section.tiles import Tiles, tiles_of

from .compute import Compute
from .encode import encode
from .fit import Fit
from .fitted_cokriging import cokriging_of
from .left_out_tiles import LeftOutTiles, TileMeans, block_width_um, left_out_tiles, tile_means
from .recipe import Recipe

__all__ = ["CalibratedTiles", "calibrated", "detect", "recipe_with"]

# fewer calibration tiles cannot tell a small share of false ones
_LEAST_TILES = 80
# parts of the blocks that are left out in turn; each costs a fit
_FOLDS = 5
_BEYOND = "no spot has more"
_NO_CONTRAST = (
    "its prediction does not tell tiles above from tiles below at blocks of spots that were left out"
)


def detect(
    fit: Fit,
    section: Section,
    genes: str | Sequence[str],
    *,
    above: float | str,
    tile_um: float,
    fdr: float = 0.1,
    seed: int = 0,
    compute: Compute = Compute(),
) -> Detection:
    """Find the tiles in which a gene is above a threshold, with a bounded share of false ones.

    What is tested of a tile: the mean that spots in it, as dense as those of the section, would measure is not above
    the threshold. Where a tile is about a pitch wide, that is what one spot in its middle would measure, noise
    included. The mean without noise is above the threshold more often than that (:doc:`/results/detection`).

    Blocks of spots are left out of the fit in turn and predicted from the others. How often a tile that was measured
    below the threshold is predicted as high as a given one gives that one's p-value, and the procedure of Benjamini &
    Hochberg selects tiles, gene by gene. A gene whose prediction at left-out blocks does not tell tiles above from
    tiles below is detected nowhere.

    Parameters
    ----------
    fit
        Of the model ``cokriging``, to one section.
    section
        The fitted section.
    genes
        One or more of the fitted genes.
    above
        Threshold: a number in log1p(CP10k), so many times the expression of the section
        (``"1.5x"``; the CP10k at the mean of log1p(CP10k) over its spots), or a quantile of the spots (``"q0.75"``).
    tile_um
        Width of the square tiles, at least that of a square of the area of a spot.
    fdr
        Expected share of false ones among the detected tiles of a gene, at most.
    seed
        Draws the blocks.
    compute
        Device and store of image features.

    Raises
    ------
    UsageError
        For a fit of another model, of several sections or of another section, too few spots, genes that were not
        fitted, thresholds below 0 or above all values, tiles that are narrower than a spot or too wide to calibrate,
        and a rate that is not between 0 and 1.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=10, rows=10, genes=12).section
    >>> fit = hs.fit(section, hs.Recipe("cokriging", "positions", genes="all"))
    >>> detection = hs.detect(fit, section, "TUMOUR1", above="1x", tile_um=100)
    >>> detection.detected.shape == (len(detection.tiles), 1)
    True
    """
    cokriging_of(fit, section, "Detection")
    if not 0 < fdr < 1:
        raise UsageError(f"`fdr` must be between 0 and 1, got {fdr:g}. Usual is 0.1.")
    names = _names_of(genes, fit, section)
    # a threshold beyond all values is refused before anything is computed
    thresholds(above, _measured(section, names), names)
    tiles = tiles_of(section, tile_um, mask=tissue_of(section))
    return calibrated(fit, section, names, tiles, seed=seed, compute=compute).detect(above, fdr)


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedTiles:
    """Predicted tiles, and what tiles that were left out of the fit say of such predictions.

    Parameters
    ----------
    genes
        Names.
    spots
        log1p(CP10k) at the fitted spots.
    tiles, means
        The tiles, and their predicted means.
    left_out
        Tiles that were left out of the fit.
    """

    genes: Array
    spots: Float[np.ndarray, "s g"]
    tiles: Tiles
    means: TileMeans
    left_out: LeftOutTiles

    def detect(self, above: float | str, fdr: float) -> Detection:
        """Find the tiles above a threshold; the arguments are those of :func:`detect`."""
        from scipy.stats import false_discovery_control

        limits = thresholds(above, self.spots, self.genes)
        p, reasons = np.ones(self.means.mean.shape), []
        for row, limit in enumerate(limits):
            p[:, row], reason = self._tested(row, limit)
            reasons.append(reason)
        return Detection(
            self.genes,
            limits,
            fdr,
            self.tiles,
            np.maximum(self.means.mean, 0.0),
            self.means.sd,
            p,
            np.column_stack([false_discovery_control(column) for column in p.T]),
            calibration_tiles=len(self.left_out),
            reasons=tuple(reasons),
        )

    def _tested(self, row: int, limit: float) -> tuple[Array, str]:
        """Return the p-values of a gene, and why it is detected nowhere, if so."""
        nothing, left_out = np.ones(len(self.tiles)), self.left_out.predicted
        below = self.left_out.measured[:, row] <= limit
        if (self.spots[:, row] <= limit).all():
            return nothing, _BEYOND
        own, others = (
            Context((part.mean[:, row] - limit) / part.sd[:, row], part.remoteness)
            for part in (self.means, left_out)
        )
        if not has_contrast(others.score, below):
            return nothing, _NO_CONTRAST
        return conformal_p(own, others, below), ""


def calibrated(
    fit: Fit,
    section: Section,
    genes: Array,
    tiles: Tiles,
    *,
    folds: int = _FOLDS,
    seed: int = 0,
    compute: Compute = Compute(),
) -> CalibratedTiles:
    """Predict tiles, and leave ``folds`` parts of the blocks out of the fit; otherwise as :func:`detect`."""
    refuse_seed(seed)
    predictor = cokriging_of(fit, section, "Detection")
    points = encode(section, tiles.points, needs=fit.model.needs, encoder=fit.encoder, compute=compute)
    means = tile_means(
        predictor,
        fit.inputs(points),
        tiles.tile,
        genes=genes,
        spots=tiles.spots,
        training=section,
    )
    left_out = left_out_tiles(
        fit,
        section,
        genes,
        tile_um=tiles.width_um,
        block_um=block_width_um(section, tiles.points.xy, tiles.width_um),
        folds=folds,
        seed=seed,
        compute=compute,
    )
    if len(left_out) < _LEAST_TILES:
        raise UsageError(
            f"Tiles of `tile_um` {tiles.width_um:g} leave {len(left_out)} to calibrate with; {_LEAST_TILES} are "
            "needed. Choose narrower ones."
        )
    return CalibratedTiles(genes, _measured(section, genes), tiles, means, left_out)


def recipe_with(recipe: Recipe, genes: str | Sequence[str], section: Section) -> Recipe:
    """Return the recipe with these genes among those that are fitted.

    Raises
    ------
    UsageError
        For a gene that the section does not have.
    """
    names = [genes] if isinstance(genes, str) else [str(gene) for gene in genes]
    section.columns(names)
    panel = select(section, recipe.genes).names.tolist()
    further = [name for name in dict.fromkeys(names) if name not in set(panel)]
    return replace(recipe, genes=[*panel, *further]) if further else recipe


def _names_of(genes: str | Sequence[str], fit: Fit, section: Section) -> Array:
    """Return the genes asked for, once each."""
    words = [genes] if isinstance(genes, str) else list(genes)
    names = np.array(list(dict.fromkeys(str(word) for word in words)), dtype=str)
    if not len(names):
        raise UsageError("Expected a gene to detect, got none.")
    section.columns(names)
    fitted = set(fit.genes.tolist())
    for name in names.tolist():
        if name not in fitted:
            raise UsageError(
                f"'{name}' is not among the {len(fitted)} genes that were fitted. Fit the section with `genes` that "
                "include it."
            )
    return names


def _measured(section: Section, genes: Array) -> Array:
    return np.asarray(log_cp10k(section.counts, columns=section.columns(genes)).toarray())
