"""How sure domains of predicted values are, by what was measured at the spots around."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from histosge._runtime.types import Array, Float

from .base import Division
from .consensus import Consensus, matched
from .neighbours import neighbour_distance_um

__all__ = ["confidence_by_spots"]

# spots by which a location is judged, and how far in their own distances the nearest may be
_SPOTS = 3
_REACH = 1.5


def confidence_by_spots(
    predicted: Consensus,
    xy_um: Float[np.ndarray, "n 2"],
    *,
    measured: Division,
    spots_um: Float[np.ndarray, "s 2"],
) -> Float[np.ndarray, " n"]:
    """Return the confidence of domains of predicted values; NaN where no spot is near.

    Predicted values are smooth, and all genes share the errors of the model: halves of them agree whether or not they
    are right. Halves of the measured genes have errors of their own. A location is as sure as measured values around it
    are of the same domain: the probability of its domain at the three nearest spots, weighted by inverse distance, and
    no more than the predicted values themselves say.

    Parameters
    ----------
    predicted
        Consensus of divisions of the predicted values.
    xy_um
        Positions of the predicted locations.
    measured
        Division of the measured values, at the spots.
    spots_um
        Positions of the spots.
    """
    spacing_um = neighbour_distance_um(spots_um)
    distance, nearest = cKDTree(xy_um).query(spots_um)
    # a spot without a location near it says nothing of which domains belong together
    near = distance <= _REACH * spacing_um
    width = max(predicted.probability.shape[1], measured.probability.shape[1])
    if not near.any():
        return np.full(len(xy_um), np.nan)
    by_spots, own = _padded(measured.probability, width), np.eye(width)[predicted.labels]
    by_spots = by_spots[:, matched(by_spots[near], own[nearest[near]])]
    number = min(_SPOTS, len(spots_um))
    distance, around = (part.reshape(len(xy_um), number) for part in cKDTree(spots_um).query(xy_um, k=number))
    weight = 1 / np.maximum(distance, 1e-6 * spacing_um)
    agreeing = (weight * by_spots[around, predicted.labels[:, None]]).sum(axis=1) / weight.sum(axis=1)
    return np.where(distance[:, 0] <= _REACH * spacing_um, np.minimum(agreeing, predicted.confidence), np.nan)


def _padded(probability: Array, width: int) -> Array:
    return np.pad(probability, ((0, 0), (0, width - probability.shape[1])))
