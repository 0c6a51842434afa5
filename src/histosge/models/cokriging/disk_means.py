"""The posterior of mean expression over disks of any width."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import features_of
from histosge.section.inputs import Inputs

from .image_features import ImageFeatures
from .kernels import KernelInputs
from .predictor import CokrigingPredictor

__all__ = ["disk_points", "disk_scores"]

# points of a disk that is wider than a spot: in the middle and around it, and more for wide disks
_FEW_POINTS, _MANY_POINTS, _WIDE = 7, 19, 3.0
# points whose covariance with the inducing points is held at a time
_POINTS_AT_A_TIME = 4096
_DISKS_AT_A_TIME = 8


def disk_points(width_um: float, spot_um: float) -> tuple[Float[np.ndarray, "p 2"], float]:
    """Return points that stand for equal parts of a disk, relative to its centre, and the diameter of a part.

    A disk no wider than a spot is one part: image features do not change within it, because their patches are at least
    as wide. The points of wider disks are those of a sunflower (Vogel 1979).

    Examples
    --------
    >>> disk_points(50.0, 55.0)[1], len(disk_points(100.0, 55.0)[0])
    (50.0, 7)
    """
    if width_um <= spot_um * 1.001 or spot_um <= 0:
        return np.zeros((1, 2)), width_um
    number = _FEW_POINTS if width_um < _WIDE * spot_um else _MANY_POINTS
    angle = np.arange(number) * np.pi * (3 - 5**0.5)
    radius = width_um / 2 * np.sqrt((np.arange(number) + 0.5) / number)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), width_um / number**0.5


def disk_scores(
    predictor: CokrigingPredictor, inputs: Inputs, disk: Int[np.ndarray, " p"]
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """Return mean and variance of each factor score's average over disks.

    The average over a disk is linear in the process: its covariance with the measurements is the average over the
    points of the disk, its prior variance the average over all pairs of them (block kriging; Journel & Huijbregts
    1978), and the posterior follows as at any location (Eq. 16 of docs/method.md). Neither the noise of a measurement
    nor its calibration is in it.

    Parameters
    ----------
    predictor
        A fitted cokriging.
    inputs
        At the points of all disks; the diameter of their locations is that of a part.
    disk
        The disk of each point, ascending from 0.
    """
    points = _kernel_inputs(predictor, inputs)
    number = int(disk[-1]) + 1
    members = sparse.csr_matrix((np.ones(len(disk)), (disk, np.arange(len(disk)))), shape=(number, len(disk)))
    average = sparse.csr_matrix(members.multiply(1 / np.asarray(members.sum(axis=1))))
    covariance = np.zeros((number, len(predictor.inducing_points)))
    for start in range(0, len(disk), _POINTS_AT_A_TIME):
        rows = np.arange(start, min(start + _POINTS_AT_A_TIME, len(disk)))
        covariance += average[:, rows] @ predictor.covariance(points.take(rows), predictor.inducing_points)
    dtype = predictor.posterior.dual.dtype
    scores, sd = predictor.posterior.predict(
        covariance.astype(dtype), _prior_variance(predictor, points, members)
    )
    return np.asarray(scores, dtype=np.float64), np.asarray(sd, dtype=np.float64) ** 2


def _kernel_inputs(predictor: CokrigingPredictor, inputs: Inputs) -> KernelInputs:
    """Return the points as the covariance compares them, at their own diameter, wider than a spot or not."""
    xy_um, sections = np.array(inputs.locations.xy), inputs.section_index
    features: tuple[ImageFeatures, ...] = ()
    # at image weight 0 no kernel reads the features
    if predictor.feature_transform is not None and predictor.covariance.image_weight > 0:
        rows = features_of(inputs, np.arange(len(inputs)))
        features = predictor.feature_transform.transform(rows, sections, xy_um)
    # a fit without block support compares points
    diameter_um = inputs.locations.points.diameter_um if predictor.inducing_points.diameter_um > 0 else 0.0
    return KernelInputs(xy_um, sections, float(diameter_um), features)


def _prior_variance(predictor: CokrigingPredictor, points: KernelInputs, members: sparse.csr_matrix) -> Array:
    """Return the prior variance of the average over each disk: the mean over all pairs of its points."""
    if members.nnz == members.shape[0]:
        return predictor.covariance.variance(points)
    variance = np.empty(members.shape[0])
    # disks come one after another: a covariance of all points of a few disks holds the pairs of every one of them
    for first in range(0, len(variance), _DISKS_AT_A_TIME):
        disks = np.arange(first, min(first + _DISKS_AT_A_TIME, len(variance)))
        starts = members.indptr[disks[0] : disks[-1] + 2]
        own = points.take(np.arange(starts[0], starts[-1]))
        sums = np.add.reduceat(predictor.covariance(own, own), starts[:-1] - starts[0], axis=0)
        sums = np.add.reduceat(sums, starts[:-1] - starts[0], axis=1)
        variance[disks] = np.diag(sums) / np.diff(starts) ** 2
    return variance
