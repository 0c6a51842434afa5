"""Covariance of expression between locations: kernels of position and kernels of image features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import runs
from histosge.section.inputs import separated

from .block_covariance import block_covariance
from .image_features import ImageFeatures
from .inducing_points import evenly

__all__ = ["Covariance", "KernelInputs"]

# relative weights of the image kernels, (RBF, linear) for each kind of feature. The stacked feature counts twice: it
# is the only one that was fitted to expression. Its linear kernel would repeat the ridge regression.
_IMAGE_WEIGHTS = {"components": (1.0, 1.0), "neighbourhood": (1.0, 1.0), "stacked": (2.0, 0.0)}
# of the short-range kernel beside them: errors of the image features are correlated within one patch width
_SHORT_RANGE_WEIGHT = 1.0
# spots from which the scales of the image kernels are measured
_SCALE_SAMPLE = 512
# within so many µm single precision resolves positions to 0.01 µm
_SINGLE_PRECISION_UM = 1e5
# pairs compared at a time, by distance and by image features: they stay in the processor's cache
_DISTANCE_PAIRS, _FEATURE_PAIRS = 1 << 15, 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class KernelInputs:
    """Locations as the covariance compares them.

    Parameters
    ----------
    xy_um
        Positions in µm.
    section_index
        Index of the section of each; positions of different sections do not covary.
    diameter_um
        Diameter of the disk that a value is the average over; 0 is a point.
    image_features
        Their image features, those of each encoder; empty where there is no image.
    """

    xy_um: Float[np.ndarray, "n 2"]
    section_index: Int[np.ndarray, " n"]
    diameter_um: float
    image_features: tuple[ImageFeatures, ...] = ()

    def __len__(self) -> int:
        return len(self.xy_um)

    @property
    def separated_xy_um(self) -> Float[np.ndarray, "n 2"]:
        """Positions with the sections laid side by side, for neighbour searches."""
        return separated(self.xy_um, self.section_index)

    def take(self, rows: Array) -> KernelInputs:
        """Return the locations at ``rows``."""
        features = tuple(part.take(rows) for part in self.image_features)
        return KernelInputs(self.xy_um[rows], self.section_index[rows], self.diameter_um, features)


@dataclass(frozen=True, slots=True, eq=False)
class Covariance:
    """A sum of position kernels and image kernels with a variance of about 1 at a point (Eq. 4 of docs/method.md).

    Parameters
    ----------
    ranges_um
        Ranges of the Matérn-3/2 kernels of position, which have equal weights.
    image_weight
        Share of the prior variance of all image kernels together, 0 … 1.
    scales
        For each encoder and each kind of image feature the median squared distance of training spots, which is the
        unit of the RBF kernel, and their mean square, which is the unit of the linear kernel.
    short_range_um
        Range of a further Matérn-3/2 kernel of position, weighted as one of the image kernels: it corrects errors of
        the image features near a measured spot. ``None``: there is none.
    shares
        Of the encoders in the image kernels; they sum to 1. ``None``: equal shares.
    """

    ranges_um: tuple[float, ...]
    image_weight: float
    scales: tuple[Mapping[str, tuple[float, float]], ...]
    short_range_um: float | None = None
    shares: tuple[float, ...] | None = None

    @classmethod
    def of(
        cls,
        spots: KernelInputs,
        ranges_um: tuple[float, ...],
        *,
        image_weight: float,
        short_range_um: float | None = None,
        shares: tuple[float, ...] | None = None,
    ) -> Covariance:
        """Measure the scales of the image features on the training spots."""
        scales = tuple(
            {kind: _scales(getattr(features, kind)) for kind in _IMAGE_WEIGHTS}
            for features in spots.image_features
        )
        return cls(ranges_um, image_weight if scales else 0.0, scales, short_range_um, shares)

    def without_image(self) -> Covariance:
        """Return the covariance of positions alone."""
        return replace(self, image_weight=0.0)

    @property
    def _shares(self) -> tuple[float, ...]:
        return self.shares or (1.0 / max(len(self.scales), 1),) * len(self.scales)

    @property
    def _unit(self) -> float:
        """Prior variance of an image kernel of weight 1."""
        total = sum(rbf + linear for rbf, linear in _IMAGE_WEIGHTS.values())
        return self.image_weight / (total + (_SHORT_RANGE_WEIGHT if self.short_range_um else 0.0))

    @property
    def _position_kernels(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Ranges and weights of all kernels of position."""
        weights = ((1 - self.image_weight) / len(self.ranges_um),) * len(self.ranges_um)
        if not self.short_range_um or not self.image_weight:
            return self.ranges_um, weights
        return (*self.ranges_um, self.short_range_um), (*weights, _SHORT_RANGE_WEIGHT * self._unit)

    def __call__(
        self, left: KernelInputs, right: KernelInputs, dtype: type[np.floating[Any]] = np.float64
    ) -> Float[np.ndarray, "n m"]:
        """Return the covariance of all pairs, in a precision."""
        covariance = self.position(left, right, dtype)
        if self.image_weight > 0:
            covariance += self.image(left, right)
        return covariance

    def position(
        self, left: KernelInputs, right: KernelInputs, dtype: type[np.floating[Any]] = np.float64
    ) -> Float[np.ndarray, "n m"]:
        """Return the part of the kernels of position, which is 0 between sections."""
        covariance = np.empty((len(left), len(right)), dtype=dtype)
        ranges, weights = self._position_kernels
        diameters = (left.diameter_um, right.diameter_um)
        for part in runs(len(left), max(1, _DISTANCE_PAIRS // max(len(right), 1))):
            distance = _distances(left.xy_um[part], right.xy_um, dtype)
            covariance[part] = block_covariance(distance, ranges, diameters, weights)
            other_section = left.section_index[part, None] != right.section_index[None, :]
            covariance[part][other_section] = 0.0
        return covariance

    def image(self, left: KernelInputs, right: KernelInputs) -> Float[np.ndarray, "n m"]:
        """Return the part of the image kernels (Eq. 6 of docs/method.md), within and between sections.

        In single precision: image features are not known to more digits.
        """
        covariance = np.zeros((len(left), len(right)), dtype=np.float32)
        if self.image_weight <= 0.0:
            return covariance
        encoders = zip(self._shares, self.scales, left.image_features, right.image_features, strict=False)
        for share, scales, *features in encoders:
            unit = share * self._unit
            for kind, (median, mean) in scales.items():
                left_values, right_values = (getattr(part, kind).astype(np.float32) for part in features)
                rbf, linear = _IMAGE_WEIGHTS[kind]
                _add_image_kernels(
                    covariance,
                    left_values,
                    right_values,
                    rbf=(median, rbf * unit),
                    linear_weight=linear * unit / mean,
                )
        return covariance

    def variance(self, inputs: KernelInputs) -> Float[np.ndarray, " n"]:
        """Return the prior variance of each location."""
        ranges, weights = self._position_kernels
        diameters = (inputs.diameter_um, inputs.diameter_um)
        variance = np.full(len(inputs), float(block_covariance(np.zeros(1), ranges, diameters, weights)[0]))
        if self.image_weight <= 0:
            return variance
        for share, scales, features in zip(self._shares, self.scales, inputs.image_features, strict=False):
            unit = share * self._unit
            for kind, (_, mean) in scales.items():
                rbf, linear = _IMAGE_WEIGHTS[kind]
                values = getattr(features, kind)
                variance += unit * rbf
                variance += unit * linear / mean * (values**2).sum(axis=1)
        return variance


def _add_image_kernels(
    covariance: Array, left: Array, right: Array, *, rbf: tuple[float, float], linear_weight: float
) -> None:
    """Add the RBF and the linear kernel of one kind of image feature, in place.

    Parameters
    ----------
    covariance
        The sum so far.
    left, right
        The features at the locations of the rows and of the columns.
    rbf
        Squared distance of one unit, and weight, of the RBF kernel.
    linear_weight
        Weight of the linear kernel.
    """
    unit, weight = rbf
    if not weight > 0:
        return
    # exp(−|a − b|²/unit) = exp((2 a·b − |a|² − |b|²)/unit): one matrix product serves both kernels
    scale, log_weight = np.float32(2 / unit), np.float32(np.log(weight))
    left, linear = scale * left, np.float32(linear_weight / scale)
    of_left = log_weight - (left**2).sum(axis=1) / (2 * scale)
    of_right = 0.5 * scale * (right**2).sum(axis=1)
    for part in runs(len(left), max(1, _FEATURE_PAIRS // max(len(right), 1))):
        product = left[part] @ right.T
        kernel = product + of_left[part, None]
        kernel -= of_right
        np.exp(np.minimum(kernel, log_weight, out=kernel), out=kernel)
        if linear:
            product *= linear
            kernel += product
        covariance[part] += kernel


def _distances(left: Array, right: Array, dtype: type[np.floating[Any]]) -> Array:
    """Return the distances of all pairs, in a precision."""
    # measured from the first location, near ones keep their digits in single precision
    exact = dtype if np.ptp(left[:, 0]) < _SINGLE_PRECISION_UM else np.float64
    left_axes, right_axes = ((xy - left[0]).astype(exact).T.copy() for xy in (left, right))
    squares, other = (np.subtract.outer(left_axes[axis], right_axes[axis]) for axis in (0, 1))
    squares *= squares
    other *= other
    squares += other
    return np.asarray(np.sqrt(squares, out=squares), dtype=dtype)


def _scales(values: Array) -> tuple[float, float]:
    """Return the median squared distance, on a few hundred spots, and the mean square; 1 where they are 0."""
    sample = values[evenly(len(values), _SCALE_SAMPLE)]
    norms = (sample**2).sum(axis=1)
    median = float(np.median(np.maximum(norms[:, None] + norms[None, :] - 2 * (sample @ sample.T), 0.0)))
    mean = float((values**2).sum(axis=1).mean())
    return (median if median > 0 else 1.0), (mean if mean > 0 else 1.0)
