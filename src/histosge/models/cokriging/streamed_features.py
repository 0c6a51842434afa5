"""Image features of many spots, the transform of which is fitted to a sample of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import features_of
from histosge.section.inputs import Inputs

from .image_features import FeatureTransform, ImageFeatures
from .joined_transform import JoinedTransform, columns_of_encoders
from .row_blocks import blocks_of

__all__ = ["streamed_features"]


def streamed_features(
    inputs: Inputs,
    sample: Int[np.ndarray, " l"],
    *,
    order: Int[np.ndarray, " n"],
    pitch_um: float,
    factors: Float[np.ndarray, "l k"],
) -> tuple[JoinedTransform, tuple[ImageFeatures, ...]]:
    """Fit the transform to a sample of the spots, and return the image features of all, in single precision.

    Staining, principal components and the stacked ridge regression (Eq. 8) are those of the sample, whose stacked
    features are leave-one-out predictions. Other spots were not regressed, and have the prediction. Neighbourhoods
    (Eq. 7) average all spots.

    Parameters
    ----------
    inputs
        Of all training spots.
    sample
        Rows of the sample.
    order
        Of all rows, neighbours together.
    pitch_um
        Median distance of neighbouring spots.
    factors
        Of expression, at the sample.
    """
    dims = [dim for _, dim in inputs.joined]
    sampled = columns_of_encoders(features_of(inputs, sample), dims)
    fits = [
        _fitted(
            inputs, number, own, sample=sample, order=order, dims=dims, pitch_um=pitch_um, factors=factors
        )
        for number, own in enumerate(sampled)
    ]
    return JoinedTransform(tuple(fit[0] for fit in fits)), tuple(fit[1] for fit in fits)


def _fitted(
    inputs: Inputs,
    number: int,
    features: Array,
    *,
    sample: Array,
    order: Array,
    dims: Sequence[int],
    pitch_um: float,
    factors: Array,
) -> tuple[FeatureTransform, ImageFeatures]:
    """Return the transform of one encoder, and the image features of all spots."""
    xy_um, sections = np.array(inputs.locations.xy), inputs.section_index
    start = FeatureTransform.standardised(features, sections[sample], pitch_um=pitch_um)
    components = np.empty((len(inputs), start.axes.shape[1]), dtype=np.float32)

    def project(rows: Array) -> None:
        own = columns_of_encoders(features_of(inputs, rows), dims)[number]
        components[rows] = start.components(own, sections[rows])

    map_parts(project, blocks_of(order))
    sampled = start.components(features, sections[sample])
    around = replace(start, spots_um=xy_um, spot_sections=sections, spot_components=components)
    transform, of_sample = around.regressed(sampled, sections[sample], xy_um[sample], factors)
    whole = ImageFeatures(
        components,
        np.empty((len(inputs), of_sample.neighbourhood.shape[1]), dtype=np.float32),
        np.empty((len(inputs), of_sample.stacked.shape[1]), dtype=np.float32),
    )

    def average(rows: Array) -> None:
        neighbourhood = transform.neighbourhood(components[rows], sections[rows], xy_um[rows])
        whole.neighbourhood[rows] = neighbourhood
        whole.stacked[rows] = neighbourhood @ transform.coefficients

    map_parts(average, blocks_of(order))
    whole.stacked[sample] = of_sample.stacked
    return transform, whole
