"""Tiles predicted without their spots: whole blocks of spots are left out of a fit in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from histosge._runtime.draws import hashed
from histosge._runtime.types import Array, Float, Int
from histosge.models.cokriging.disk_means import disk_scores
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.models.gene_order import as_fitted
from histosge.section.expression import log_cp10k
from histosge.section.inputs import Inputs
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.section.section import Section
from histosge.section.tiles import spots_along

from .compute import Compute
from .encode import encode
from .fit import Fit

__all__ = ["LeftOutTiles", "TileMeans", "block_width_um", "left_out_tiles", "tile_means"]

# blocks at least so many pitches wide; spots in the middle of narrower ones have near neighbours all the same
_LEAST_PITCHES = 3.0
# blocks so many times as wide as the distance of nine in ten tiles from a spot
_TIMES_DISTANCE, _SHARE = 2.5, 0.9
# spots whose mean distance tells how remote a location is
_NEIGHBOURS = 6


@dataclass(frozen=True, slots=True, eq=False)
class TileMeans:
    """Predicted means of the spots in tiles.

    Parameters
    ----------
    mean, sd
        Predicted mean, and its standard deviation as a measurement: with the noise of so many spots.
    remoteness
        Mean distance to the nearest fitted spots, in pitches.
    """

    mean: Float[np.ndarray, "n g"]
    sd: Float[np.ndarray, "n g"]
    remoteness: Float[np.ndarray, " n"]


@dataclass(frozen=True, slots=True, eq=False)
class LeftOutTiles:
    """Tiles predicted without their spots, and the mean that these measured."""

    predicted: TileMeans
    measured: Float[np.ndarray, "m g"]

    def __len__(self) -> int:
        return len(self.measured)


def tile_means(
    predictor: CokrigingPredictor,
    inputs: Inputs,
    tile: Int[np.ndarray, " p"],
    *,
    genes: Array,
    spots: Float[np.ndarray, " n"],
    training: Section,
) -> TileMeans:
    """Predict the mean that spots would measure in each tile.

    Parameters
    ----------
    predictor
        A fitted cokriging.
    inputs
        At the spots of all tiles.
    tile
        The tile of each, ascending from 0.
    genes
        Names.
    spots
        Number of spots that measure each tile.
    training
        The fitted spots.
    """
    from scipy.spatial import cKDTree

    scores, variance = disk_scores(predictor, inputs, tile)
    rows = predictor.basis.columns(genes.tolist())
    loadings = np.asarray(predictor.basis.loadings[rows], dtype=np.float64)
    # the noise of one measurement, averaged over the spots
    noise = predictor.basis.noise_sd[rows].astype(np.float64) ** 2 / spots[:, None]
    neighbours = np.arange(1, min(_NEIGHBOURS, len(training)) + 1)
    distance = cKDTree(training.spots.xy).query(inputs.locations.xy, k=neighbours)[0].mean(axis=1)
    return TileMeans(
        predictor.basis.offset[rows] + scores @ loadings.T,
        np.sqrt(variance @ loadings.T**2 + noise),
        np.bincount(tile, distance) / np.bincount(tile) / training.pitch_um,
    )


def block_width_um(section: Section, points_um: Float[np.ndarray, "p 2"], tile_um: float) -> float:
    """Return the width of the blocks: several tiles and pitches, and wide enough to be as remote as the tiles are."""
    from scipy.spatial import cKDTree

    distance = np.quantile(cKDTree(section.spots.xy).query(points_um)[0], _SHARE)
    least = max(_LEAST_PITCHES * section.pitch_um, _TIMES_DISTANCE * float(distance))
    return float(tile_um * np.ceil(least / tile_um))


def left_out_tiles(
    fit: Fit,
    section: Section,
    genes: Array,
    *,
    tile_um: float,
    block_um: float,
    folds: int,
    seed: int,
    compute: Compute,
) -> LeftOutTiles:
    """Fit without each fold of the blocks in turn, and predict the tiles in them.

    A tile that is about as wide as a pitch is one spot; a wider one is the mean of its spots.

    Parameters
    ----------
    fit, section
        A fit of cokriging, and its section.
    genes
        Names.
    tile_um, block_um
        Widths of a tile and of a block, which holds whole tiles.
    folds
        Parts of the blocks that are left out in turn; each costs a fit.
    seed
        Draws where blocks begin, and the fold of each.
    compute
        Device and store of image features.
    """
    xy_um = section.spots.xy
    inputs = encode(section, at_spots(section), needs=fit.model.needs, encoder=fit.encoder, compute=compute)
    samples = samples_of(section, fit.panel, inputs, sparse_expression=fit.model.reads_sparse(len(section)))
    samples = samples if fit.programs is None else fit.programs.joined(samples)
    measured = log_cp10k(section.counts, columns=section.columns(genes)).toarray()
    fold = _folds(xy_um, block_um, tile_um, folds=folds, seed=seed)
    parts = []
    for number in range(folds):
        test, training = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if len(test) and len(training):
            predictor = fit.model.fit(samples.take(training), seed=fit.recipe.seed, runtime=compute.runtime())
            tile = _tile_of(section, xy_um[test], tile_um)
            order = np.argsort(tile, kind="stable")
            test, tile = test[order], tile[order]
            means = tile_means(
                cast(CokrigingPredictor, as_fitted(predictor)),
                inputs.take(test),
                tile,
                genes=genes,
                spots=np.bincount(tile).astype(np.float64),
                training=section.take(training),
            )
            parts.append((means, _averages(measured[test], tile)))
        if compute.progress is not None:
            compute.progress(number + 1, folds, "left-out blocks")
    means = TileMeans(
        *(np.concatenate([getattr(part, name) for part, _ in parts]) for name in ("mean", "sd", "remoteness"))
    )
    return LeftOutTiles(means, np.concatenate([values for _, values in parts]))


def _folds(xy_um: Array, block_um: float, tile_um: float, *, folds: int, seed: int) -> Int[np.ndarray, " s"]:
    """Return the fold of each spot by its block: by positions, whatever the order of the spots."""
    # blocks begin at a random tile
    shift = np.random.default_rng(seed).integers(0, round(block_um / tile_um), size=2)
    square = np.floor((xy_um / tile_um + shift) * (tile_um / block_um)).astype(np.intp)
    blocks, block = np.unique(square, axis=0, return_inverse=True)
    names = [f"{column}/{row}" for column, row in blocks]
    rank = np.argsort(np.argsort(hashed(names, seed, "blocks"), kind="stable"))
    return np.asarray((rank % folds)[np.ravel(block)], dtype=np.intp)


def _tile_of(section: Section, xy_um: Array, tile_um: float) -> Int[np.ndarray, " s"]:
    """Return the tile of each spot, numbered from 0."""
    if spots_along(section, tile_um) == 1.0:
        return np.arange(len(xy_um))
    square = np.floor(xy_um / tile_um).astype(np.intp)
    return np.ravel(np.unique(square, axis=0, return_inverse=True)[1]).astype(np.intp)


def _averages(values: Array, tile: Array) -> Array:
    starts = np.flatnonzero(np.append(True, np.diff(tile) > 0))
    return np.asarray(np.add.reduceat(values, starts, axis=0) / np.bincount(tile)[:, None])
