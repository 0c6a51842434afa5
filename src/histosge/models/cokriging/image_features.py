"""Image features in the coordinates in which the covariance compares locations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import runs
from histosge.models.scaling import Columns
from histosge.prediction.evidence_ridge import RidgeDesign
from histosge.prediction.principal_components import principal_axes

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["FeatureTransform", "ImageFeatures", "of_encoder"]

# principal components of the features: more carry noise, fewer lose stains
_COMPONENTS = 40
# Gaussian widths of the neighbourhood averages, in pitches: the next spots, and the spots after them
_WIDTHS_PITCHES = (0.8, 1.6)
# beyond this many widths a neighbour has no weight
_REACH_WIDTHS = 4.0
# locations that determine the staining of a section; fewer say nothing of its mean and spread
_LEAST_LOCATIONS = 10
# factors that are predicted by the stacked ridge regression: later ones are noise to the image
_STACKED_FACTORS = 12
# noise-to-signal ratios of the stacked ridge regression
_NOISE_RATIOS = np.geomspace(1e-3, 1e4, 22)
# standardised features further off are a fold or a pen mark, not a reason to extrapolate
_LIMIT_SD = 5.0
# locations whose neighbourhoods are averaged at a time
_BLOCK = 2048
# of more spots those near some locations are found before neighbours are searched
_MANY_SPOTS = 20_000
# µm; a spot this near is the location itself
_SAME_UM = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ImageFeatures:
    """Image features of some locations, as the kernels compare them.

    Parameters
    ----------
    components
        Principal components of the patch's features.
    neighbourhood
        The components, and their averages over the spots around each location (Eq. 7 of docs/method.md).
    stacked
        Factors of expression predicted from ``neighbourhood`` by ridge regression (Eq. 8; a stacked feature).
    """

    components: Float[np.ndarray, "n p"]
    neighbourhood: Float[np.ndarray, "n q"]
    stacked: Float[np.ndarray, "n h"]

    def take(self, rows: Array) -> ImageFeatures:
        """Return the features at ``rows``."""
        return ImageFeatures(self.components[rows], self.neighbourhood[rows], self.stacked[rows])


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTransform:
    """From encoder features to :class:`ImageFeatures`, fitted to the training spots.

    Sections differ in staining: each fitted section is standardised by itself, any other by the mean and standard
    deviation over all.

    Parameters
    ----------
    means, scales
        Of the features: one row for each section and a last row for any other section, which also stands in for
        sections without training spots.
    axes
        d × p: from standardised features to principal components.
    spots_um, spot_sections, spot_components
        Positions, sections and components of the spots that neighbourhoods average: the training spots, and those of
        a section that the transform was adapted to.
    widths_um
        Gaussian widths of the averages.
    gains
        One per width: averages vary less than components, and are brought to the same variance.
    coefficients
        q × h: from ``neighbourhood`` to ``stacked``.
    """

    means: Float[np.ndarray, "s d"]
    scales: Float[np.ndarray, "s d"]
    axes: Float[np.ndarray, "d p"]
    spots_um: Float[np.ndarray, "n 2"]
    spot_sections: Int[np.ndarray, " n"]
    spot_components: Float[np.ndarray, "n p"]
    widths_um: Float[np.ndarray, " w"]
    gains: Float[np.ndarray, " w"]
    coefficients: Float[np.ndarray, "q h"]

    @classmethod
    def fit(
        cls,
        features: Float[np.ndarray, "n d"],
        sections: Int[np.ndarray, " n"],
        xy_um: Float[np.ndarray, "n 2"],
        *,
        pitch_um: float,
        factors: Float[np.ndarray, "n k"],
    ) -> tuple[FeatureTransform, ImageFeatures]:
        """Fit to the training spots, and return also their image features.

        Their stacked features are leave-one-out predictions, so that they are as uncertain as at new locations.

        Parameters
        ----------
        features
            Encoder features; values that are not finite count as the mean.
        sections
            Index of the section of each spot.
        xy_um, pitch_um
            Positions, and the median distance of neighbouring spots.
        factors
            Of expression; the first ones are predicted for the stacked features.
        """
        transform = cls.standardised(features, sections, pitch_um=pitch_um)
        components = transform.components(features, sections)
        around = replace(transform, spots_um=xy_um, spot_sections=sections, spot_components=components)
        return around.regressed(components, sections, xy_um, factors)

    @classmethod
    def standardised(
        cls, features: Float[np.ndarray, "n d"], sections: Int[np.ndarray, " n"], *, pitch_um: float
    ) -> FeatureTransform:
        """Return the transform to principal components, without spots to average and without stacked features."""
        means, scales = _staining(features, sections)
        standard = _standardised(features, means[sections], scales[sections])
        axes, widths_um = (
            principal_axes(standard, _COMPONENTS, exact=True).T,
            pitch_um * np.array(_WIDTHS_PITCHES),
        )
        return cls(
            means,
            scales,
            axes,
            spots_um=np.empty((0, 2)),
            spot_sections=np.empty(0, dtype=np.intp),
            spot_components=np.empty((0, axes.shape[1])),
            widths_um=widths_um,
            gains=np.ones(len(widths_um)),
            coefficients=np.zeros(((len(widths_um) + 1) * axes.shape[1], 0)),
        )

    def components(
        self, features: Float[np.ndarray, "b d"], sections: Int[np.ndarray, " b"]
    ) -> Float[np.ndarray, "b p"]:
        """Return the principal components of features; a section that was not fitted is standardised by all."""
        row = np.minimum(sections, len(self.means) - 1)
        return np.asarray(_standardised(features, self.means[row], self.scales[row]) @ self.axes)

    def regressed(
        self,
        components: Float[np.ndarray, "n p"],
        sections: Int[np.ndarray, " n"],
        xy_um: Float[np.ndarray, "n 2"],
        factors: Float[np.ndarray, "n k"],
    ) -> tuple[FeatureTransform, ImageFeatures]:
        """Return the transform with stacked features, regressed on some spots, and their image features."""
        averages = self.neighbourhood(components, sections, xy_um)
        transform = replace(self, gains=_gains(averages, components.shape[1]))
        neighbourhood = transform.neighbourhood(components, sections, xy_um)
        targets = factors[:, :_STACKED_FACTORS]
        design = RidgeDesign.of(neighbourhood, unit="row", intercept=False)
        ridge = design.fit(targets - targets.mean(axis=0), _NOISE_RATIOS)
        transform = replace(transform, coefficients=ridge.coefficients)
        # in the order in which a saved fit is read: products of the other order differ in their last bit
        return transform, ImageFeatures(components, neighbourhood, np.ascontiguousarray(ridge.left_out))

    def adapted_to(
        self, features: Float[np.ndarray, "b d"], section: int, xy_um: Float[np.ndarray, "b 2"]
    ) -> FeatureTransform:
        """Return the transform with the staining and the neighbourhoods of a section without training spots.

        Parameters
        ----------
        features, xy_um
            At locations all over that section; fewer than ten leave the staining at that of the other sections.
        section
            Its index.
        """
        means, scales = (
            np.vstack([rows[:-1], np.tile(rows[-1], (max(1, section + 2 - len(rows)), 1))])
            if section >= len(rows) - 1
            else rows.copy()
            for rows in (self.means, self.scales)
        )
        if len(features) >= _LEAST_LOCATIONS:
            columns = Columns.of(_finite(features))
            means[section], scales[section] = columns.mean, columns.scale
        components = _standardised(features, means[section], scales[section]) @ self.axes
        index = np.full(len(xy_um), section, dtype=np.intp)
        return replace(
            self,
            means=means,
            scales=scales,
            spots_um=np.vstack([self.spots_um, xy_um]),
            spot_sections=np.concatenate([self.spot_sections, index]),
            spot_components=np.vstack([self.spot_components, components]),
        )

    def transform(
        self,
        features: Float[np.ndarray, "b d"],
        sections: Int[np.ndarray, " b"],
        xy_um: Float[np.ndarray, "b 2"],
    ) -> ImageFeatures:
        """Return the image features of locations.

        Parameters
        ----------
        features, xy_um
            At the locations.
        sections
            Index of the section of each; an index that was not fitted means another section.
        """
        components = self.components(features, sections)
        neighbourhood = self.neighbourhood(components, sections, xy_um)
        return ImageFeatures(components, neighbourhood, neighbourhood @ self.coefficients)

    def arrays(self, number: int = 0) -> dict[str, Array]:
        """Return the arrays by name; ``number`` counts the encoders of a fit."""
        return {
            f"{of_encoder('feature_transform', number)}.{name}": getattr(self, name) for name in _names(self)
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], number: int = 0) -> FeatureTransform:
        """Return the transform whose :meth:`arrays` these are."""
        prefix = of_encoder("feature_transform", number)
        return cls(**{name: arrays[f"{prefix}.{name}"] for name in _names(cls)})

    def neighbourhood(
        self,
        components: Float[np.ndarray, "b p"],
        sections: Int[np.ndarray, " b"],
        xy_um: Float[np.ndarray, "b 2"],
    ) -> Float[np.ndarray, "b q"]:
        """Return components and their averages over neighbouring spots of the same section (Eq. 7).

        A location counts once, with weight 1, whether it is a spot or not. Without neighbours, as in a section
        without spots, the average is the location's own components.
        """
        blocks = [components, *(np.empty_like(components) for _ in self.widths_um)]
        for index in np.unique(sections):
            rows, spots = np.flatnonzero(sections == index), np.flatnonzero(self.spot_sections == index)
            for block, width_um, gain in zip(blocks[1:], self.widths_um, self.gains, strict=True):
                for part in runs(len(rows), _BLOCK):
                    some = rows[part]
                    near = _near(xy_um[some], self.spots_um, spots, _REACH_WIDTHS * float(width_um))
                    weights = _gaussian_weights(xy_um[some], self.spots_um[near], float(width_um))
                    total = 1.0 + np.asarray(weights.sum(axis=1))
                    average = (components[some] + weights @ self.spot_components[near]) / total
                    block[some] = average * np.where(total > 1, gain, 1.0)
        return np.concatenate(blocks, axis=1)


def of_encoder(name: str, number: int) -> str:
    """Return the name of what belongs to one of the encoders of a fit; that of the first has no number."""
    return f"{name}_{number}" if number else name


def _names(transform: FeatureTransform | type[FeatureTransform]) -> list[str]:
    return [item.name for item in fields(transform)]


def _staining(features: Array, sections: Array) -> tuple[Array, Array]:
    """Return means and scales of the features: a row for each section, and a last row over all."""
    columns = [Columns.of(_finite(features))] * (int(sections.max()) + 2)
    for index in np.unique(sections):
        columns[index] = Columns.of(_finite(features[sections == index]))
    return np.array([part.mean for part in columns]), np.array([part.scale for part in columns])


def _near(xy_um: Array, spots_um: Array, spots: Array, reach_um: float) -> Array:
    """Return the spots that some locations can reach; few spots are searched as they are."""
    if len(spots) <= _MANY_SPOTS:
        return spots
    least, most = xy_um.min(axis=0) - reach_um, xy_um.max(axis=0) + reach_um
    own = spots_um[spots]
    return np.asarray(spots[((own >= least) & (own <= most)).all(axis=1)])


def _gaussian_weights(xy_um: Array, spots_um: Array, width_um: float) -> sparse.csr_matrix:
    """Return Gaussian weights of spots around locations; a spot at the location itself has weight 0."""
    from scipy import sparse
    from scipy.spatial import cKDTree

    near = cKDTree(xy_um).sparse_distance_matrix(
        cKDTree(spots_um), _REACH_WIDTHS * width_um, output_type="coo_matrix"
    )
    other = near.data > _SAME_UM
    weight = np.exp(-0.5 * (near.data[other] / width_um) ** 2)
    return sparse.csr_matrix((weight, (near.row[other], near.col[other])), shape=(len(xy_um), len(spots_um)))


def _finite(features: Array) -> Array:
    """Return features with the mean of the column where a value is not finite."""
    features = np.asarray(features, dtype=np.float64)
    if np.isfinite(features).all():
        return features
    known = np.where(np.isfinite(features), features, np.nan)
    counted = np.isfinite(known).sum(axis=0)
    mean = np.nansum(known, axis=0) / np.maximum(counted, 1)
    return np.where(np.isfinite(known), known, mean)


def _standardised(features: Array, means: Array, scales: Array) -> Array:
    standard = (np.asarray(features, dtype=np.float64) - means) / scales
    return np.clip(np.where(np.isfinite(standard), standard, 0.0), -_LIMIT_SD, _LIMIT_SD)


def _gains(averages: Array, components: int) -> Array:
    """Return for each width the factor that gives its averages the variance of the components."""
    starts = range(0, averages.shape[1], components)
    power = [float((averages[:, start : start + components] ** 2).sum()) for start in starts]
    return np.sqrt(power[0] / np.maximum(power[1:], 1e-300)) if power[0] > 0 else np.ones(len(power) - 1)
