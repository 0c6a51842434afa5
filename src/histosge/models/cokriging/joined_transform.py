"""Image features of several encoders: each in coordinates of its own, fitted to the same spots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.errors import DataError

from .image_features import FeatureTransform, ImageFeatures

__all__ = ["JoinedTransform", "columns_of_encoders"]


@dataclass(frozen=True, slots=True, eq=False)
class JoinedTransform:
    """The feature transform of each encoder; the columns of the features are theirs, one encoder after another.

    Components of joined columns would be those of the encoder with most columns: hence a transform for each.

    Parameters
    ----------
    parts
        One or more.
    """

    parts: tuple[FeatureTransform, ...]

    @classmethod
    def fit(
        cls,
        features: Float[np.ndarray, "n d"],
        sections: Int[np.ndarray, " n"],
        xy_um: Float[np.ndarray, "n 2"],
        *,
        dims: Sequence[int],
        pitch_um: float,
        factors: Float[np.ndarray, "n k"],
    ) -> tuple[JoinedTransform, tuple[ImageFeatures, ...]]:
        """Fit to the training spots, and return also their image features; see :meth:`FeatureTransform.fit`.

        Parameters
        ----------
        features, sections, xy_um, pitch_um, factors
            Of the spots.
        dims
            Number of columns of each encoder; empty: there is one encoder.
        """
        fits = [
            FeatureTransform.fit(columns, sections, xy_um, pitch_um=pitch_um, factors=factors)
            for columns in columns_of_encoders(features, dims)
        ]
        return cls(tuple(fit[0] for fit in fits)), tuple(fit[1] for fit in fits)

    def adapted_to(
        self, features: Float[np.ndarray, "b d"], section: int, xy_um: Float[np.ndarray, "b 2"]
    ) -> JoinedTransform:
        """Return the transforms adapted to a section without training spots."""
        columns = columns_of_encoders(features, self.dims)
        return JoinedTransform(
            tuple(part.adapted_to(own, section, xy_um) for part, own in zip(self.parts, columns, strict=True))
        )

    def transform(
        self,
        features: Float[np.ndarray, "b d"],
        sections: Int[np.ndarray, " b"],
        xy_um: Float[np.ndarray, "b 2"],
    ) -> tuple[ImageFeatures, ...]:
        """Return the image features of locations, those of each encoder."""
        columns = columns_of_encoders(features, self.dims)
        return tuple(
            part.transform(own, sections, xy_um) for part, own in zip(self.parts, columns, strict=True)
        )

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {
            name: array
            for number, part in enumerate(self.parts)
            for name, array in part.arrays(number).items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], encoders: int) -> JoinedTransform:
        """Return the transforms whose :meth:`arrays` these are."""
        return cls(tuple(FeatureTransform.from_arrays(arrays, number) for number in range(encoders)))

    @property
    def dims(self) -> tuple[int, ...]:
        """Number of columns of each encoder."""
        return tuple(part.means.shape[1] for part in self.parts)


def columns_of_encoders(features: Array, dims: Sequence[int]) -> list[Array]:
    """Return the columns of each encoder.

    Raises
    ------
    DataError
        When there are more or fewer.
    """
    if dims and features.shape[1] != sum(dims):
        raise DataError(
            f"Expected {sum(dims)} image features of the fitted encoders, got {features.shape[1]}."
        )
    return np.split(features, np.cumsum(dims)[:-1], axis=1) if len(dims) > 1 else [features]
