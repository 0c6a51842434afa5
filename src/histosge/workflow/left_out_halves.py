"""How much is known away from measured spots: halves of a section are left out, and predicted from the other half."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from histosge._runtime.draws import random_order
from histosge._runtime.types import Array, Float
from histosge.errors import HistosgeError
from histosge.models.base import Model, Predictor, Runtime
from histosge.section.genes import GenePanel
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots
from histosge.section.multi_section import SectionGroup
from histosge.section.section import Section

from .compute import Compute
from .encode import encode
from .fitted import Fitted

__all__ = ["KnownAway", "known_away", "sampled"]

# spots and genes of the check; of more, so many spread over all
_MOST_SPOTS, _MOST_GENES = 3000, 300
# spots of half a section that a fit is hardly possible below, and of a distance whose error is an estimate
_LEAST_SPOTS, _LEAST_AWAY = 20, 20
# share of the variance that is unknown where a prediction has nothing to do with the truth: E(ŷ - y)² is the sum of
# both variances
_UNRELATED = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class KnownAway:
    """Error of predictions by their distance from the measured spots, measured in the section itself.

    Parameters
    ----------
    to_um
        Furthest distance of each band, ascending; a location belongs to the first that reaches it.
    unknown_share
        Mean squared error of mean expression in each band, as a share of its variance over the section; it does not
        fall with distance. Above 1 a prediction is worse than the gene's mean.
    spots
        Left-out spots of each band.
    """

    to_um: Float[np.ndarray, " b"]
    unknown_share: Float[np.ndarray, " b"]
    spots: Array

    @property
    def furthest_um(self) -> float:
        """Distance up to which errors were measured; 0 where none were."""
        return float(self.to_um[-1]) if len(self.to_um) else 0.0

    def at(self, distance_um: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return the unknown share at distances; further than was measured, that of an unrelated prediction."""
        beyond = max(_UNRELATED, *self.unknown_share) if len(self.to_um) else _UNRELATED
        shares = np.append(self.unknown_share, beyond)
        return np.asarray(shares[np.searchsorted(self.to_um, distance_um, side="left")])


def known_away(
    samples: Samples,
    model: Model,
    *,
    noise_sd: Float[np.ndarray, " g"],
    edges_um: Sequence[float],
    seed: int = 0,
    runtime: Runtime = Runtime(),
) -> KnownAway:
    """Fit each half of a section, west, east, north and south, predict the other, and compare with the measurements.

    Everything is estimated from the half that is fitted: means, factors, image features, covariance. Half of the spots
    know less than all of them, so that errors are rather too large than too small.

    Parameters
    ----------
    samples
        Spots of one section, or some of them.
    model
        That predicts factors, with standard deviations.
    noise_sd
        Standard deviation of one measurement around the mean expression, of each gene; its square is no error of a
        prediction.
    edges_um
        Distances at which bands end, ascending.
    seed, runtime
        As for :meth:`~histosge.models.base.Model.fit`.
    """
    expression, noise = samples.dense_expression, np.asarray(noise_sd, dtype=np.float64) ** 2
    signal = np.maximum(expression.var(axis=0) - noise, 0.0).sum()
    distances, errors = [np.empty(0)], [np.empty(0)]
    # without any signal an error has no share of it
    for fitted, left_out in _halves(samples.inputs.locations.xy) if signal > 0 else ():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                predictor = model.fit(samples.take(fitted), seed=seed, runtime=runtime)
        except HistosgeError:
            # too few spots, or genes that are constant in this half: nothing is known from it
            continue
        mean = _means(predictor, samples.take(left_out).inputs)
        error = ((mean - expression[left_out]) ** 2 - noise).sum(axis=1)
        xy_um = samples.inputs.locations.xy
        distances.append(cKDTree(xy_um[fitted]).query(xy_um[left_out])[0])
        errors.append(error / signal)
    return _banded(np.concatenate(distances), np.concatenate(errors), edges_um)


def sampled(fitted: Fitted, section: Section, compute: Compute) -> tuple[Samples, Array]:
    """Return the samples of the check from a section that was fitted, and the columns of their genes in the fit."""
    inputs = encode(
        section, at_spots(section), needs=fitted.model.needs, encoder=fitted.encoder, compute=compute
    )
    names = fitted.genes
    genes = _some(len(names), _MOST_GENES)
    panel = GenePanel(names[genes], section.columns(names[genes]), fitted.panel.spec)
    samples = SectionGroup.of(section, ()).gather(
        panel,
        inputs,
        rows=np.sort(random_order(section.spots.ids, fitted.recipe.seed, "halves")[:_MOST_SPOTS]),
        depth_adjusted=fitted.recipe.depth_adjusted,
    )
    return replace(samples, inputs=replace(samples.inputs, sections=None)), genes


def _some(number: int, most: int) -> Array:
    """Return up to ``most`` of ``number`` rows, spread evenly."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).astype(np.intp))


def _halves(xy_um: Array) -> Iterator[tuple[Array, Array]]:
    """Yield the spots of each half, and those of the other."""
    for axis in (0, 1):
        low = xy_um[:, axis] < np.median(xy_um[:, axis])
        for half in (low, ~low):
            if min(half.sum(), (~half).sum()) >= _LEAST_SPOTS:
                yield np.flatnonzero(half), np.flatnonzero(~half)


def _means(predictor: Predictor, inputs: Inputs) -> Array:
    """Return the means of all genes, which a model has in the order of the samples."""
    mean = np.empty((len(inputs), len(predictor.genes)))
    for rows, block, _ in predictor.blocks(inputs):
        mean[rows] = block
    return mean


def _banded(distance_um: Array, error: Array, edges_um: Sequence[float]) -> KnownAway:
    """Return the mean error of each band; one of few spots is joined with the next, and left out where none follows."""
    to_um, shares, numbers = [], [], []
    start = 0.0
    for edge in edges_um:
        inside = (distance_um > start) & (distance_um <= edge)
        if inside.sum() < _LEAST_AWAY:
            continue
        to_um.append(min(edge, float(distance_um[inside].max())))
        shares.append(max(float(error[inside].mean()), 0.0))
        numbers.append(int(inside.sum()))
        start = edge
    return KnownAway(np.array(to_um), np.maximum.accumulate(np.array(shares)), np.array(numbers))
