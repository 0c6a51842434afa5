"""What is settled before the covariance of the training spots is decomposed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Float, Int
from histosge.models.blocks import features_of
from histosge.section.inputs import Samples

from .joined_transform import JoinedTransform
from .kernels import Covariance, KernelInputs
from .model_selection import Selection
from .ranges import pitch_of, target_rows
from .standardise import Coins, Standardisation

__all__ = ["Choices", "Setup", "kernel_inputs", "standardisation_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """The spots to krige, and their covariance.

    Parameters
    ----------
    samples
        The spots that are kriged.
    standardisation
        Of the expression of all training spots.
    values
        Standardised expression of the spots that are kriged.
    axes
        Principal axes of the values of all training spots.
    spots
        As the covariance compares them.
    feature_transform
        From encoder features to image features.
    covariance
        Chosen.
    summary
        Plain values of the choice.
    """

    samples: Samples
    standardisation: Standardisation
    values: Float[np.ndarray, "n g"]
    axes: Float[np.ndarray, "k g"]
    spots: KernelInputs
    feature_transform: JoinedTransform | None
    covariance: Covariance
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """What is chosen from all training spots; other fields are those of :class:`Setup`, of all of them.

    Parameters
    ----------
    pitch_um
        Distance of neighbouring spots, in the section to predict.
    selection
        The weight of the image.
    """

    samples: Samples
    standardisation: Standardisation
    values: Float[np.ndarray, "n g"]
    axes: Float[np.ndarray, "k g"]
    spots: KernelInputs
    feature_transform: JoinedTransform | None
    pitch_um: float
    selection: Selection
    summary: dict[str, Any]

    def setup(self, rows: Int[np.ndarray, " r"], ranges_um: tuple[tuple[float, ...], float | None]) -> Setup:
        """Return what is settled of some training spots, whose covariance has these ranges and short range."""
        samples, spots, values = self.samples, self.spots, self.values
        if len(rows) < len(samples):
            samples, spots, values = samples.take(rows), spots.take(rows), values[rows]
        return Setup(
            samples,
            self.standardisation,
            values=values,
            axes=self.axes,
            spots=spots,
            feature_transform=self.feature_transform,
            covariance=self.selection.covariance(spots, *ranges_um),
            summary=self.summary,
        )


def standardisation_of(samples: Samples, seed: int) -> Standardisation:
    """Return the standardisation of the training spots, whose counts are split by the names of spots and genes."""
    coins = Coins.of(samples.inputs.locations.points.ids, samples.genes, seed)
    sections = samples.inputs.section_index
    return Standardisation.fit(
        samples.expression, samples.depth, sections=sections, coins=coins, measured=samples.measured
    )


def kernel_inputs(
    samples: Samples, factors: Float[np.ndarray, "n k"], *, image: bool, support: bool
) -> tuple[KernelInputs, JoinedTransform | None, float]:
    """Return the training spots as the covariance compares them, the transform of features, and the pitch.

    Parameters
    ----------
    samples, factors
        The spots, and their factors of expression.
    image
        Whether image features are used.
    support
        Whether a spot is a disk, or a point.
    """
    inputs = samples.inputs
    xy_um, sections = np.array(inputs.locations.xy), inputs.section_index
    # the pitch of the section to predict: auxiliary sections may be of another platform
    pitch_um = pitch_of(inputs.separated_xy_um[target_rows(sections)])
    # disks that are wider than the pitch would overlap
    diameter_um = min(float(inputs.locations.points.diameter_um), pitch_um) if support else 0.0
    if not image:
        return KernelInputs(xy_um, sections, diameter_um), None, pitch_um
    features = features_of(inputs, np.arange(len(samples)))
    dims = [dim for _, dim in inputs.joined]
    transform, image_features = JoinedTransform.fit(
        features, sections, xy_um, dims=dims, pitch_um=pitch_um, factors=factors
    )
    return KernelInputs(xy_um, sections, diameter_um, image_features), transform, pitch_um
