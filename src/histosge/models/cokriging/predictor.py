"""A fitted cokriging: predict at any location of any section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float
from histosge.errors import DataError
from histosge.models.base import Block
from histosge.models.blocks import features_of, pieces
from histosge.prediction.accuracy import GRADES, NO_GRADE, UNKNOWN
from histosge.prediction.attribution import Attribution
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.inputs import Inputs

from .image_features import ImageFeatures, of_encoder
from .inducing_points import evenly
from .joined_transform import JoinedTransform
from .kernels import Covariance, KernelInputs
from .microscale import Microscale, support_um
from .nearest_spots import NearestSpots
from .posterior import FactorPosterior
from .standardise import Standardisation

__all__ = ["CokrigingPredictor", "attribution_of"]

# training spots on which the components of a prediction are compared
_ATTRIBUTION_SPOTS = 1024
_FEATURES = ("components", "neighbourhood", "stacked")
_BASIS = ("offset", "loadings", "noise_sd", "calibration_factor", "r_loo")
# a saved fit holds numbers only: grades are their positions here
_GRADES = np.array(sorted((*GRADES, NO_GRADE, UNKNOWN)))
_ACCURACY = ("r_loo_given_depth", "r_loo_low", "r_loo_high")


@dataclass(frozen=True, slots=True, eq=False)
class CokrigingPredictor:
    """Posterior of the output factors, and the covariance of a new location with the inducing points.

    Parameters
    ----------
    basis
        The genes in terms of output factors; its offset is that of the first section.
    standardisation
        Gene means of each section.
    posterior
        Of the output factors.
    feature_transform
        From encoder features to image features; ``None`` for cokriging on positions.
    covariance, inducing_points
        Covariance function, and the locations that carry the process.
    fit_summary
        Plain values of the fit.
    microscale
        What each training spot has of its own; ``None`` where spots are not apart.
    nearest_spots
        What the nearest spots add where inducing points are far apart; ``None`` elsewhere.
    """

    basis: Basis
    standardisation: Standardisation
    posterior: FactorPosterior
    feature_transform: JoinedTransform | None
    covariance: Covariance
    inducing_points: KernelInputs
    fit_summary: Mapping[str, Any]
    microscale: Microscale | None = None
    nearest_spots: NearestSpots | None = None

    @property
    def genes(self) -> Array:
        """Names of the genes."""
        return self.basis.genes

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict piece by piece: means, and standard deviations of a measurement (Eq. 16 of docs/method.md)."""
        loadings, factor = self.basis.loadings, self.basis.calibration_factor
        for rows in pieces(len(inputs), max(len(self.genes), len(self.inducing_points))):
            scores, score_sd = self._predict_scores(inputs, rows)
            offset = self.standardisation.means[self.standardisation.row_of(inputs.section_index[rows])]
            # variances of independent factors, and the noise of one measurement
            variance = score_sd**2 @ (loadings**2).T + self.basis.noise_sd**2
            mean = np.maximum(offset + scores @ loadings.T, 0.0)
            yield rows, mean.astype(np.float32), (np.sqrt(variance) * factor).astype(np.float32)

    def factored(self, inputs: Inputs) -> FactoredPrediction:
        """Predict factor scores at all locations of one section.

        Raises
        ------
        DataError
            When the locations belong to several sections, whose genes have different means.
        """
        sections = np.unique(self.standardisation.row_of(inputs.section_index))
        if len(sections) > 1:
            raise DataError(
                f"Expected locations of one section, got {len(sections)}. Predict each by itself."
            )
        scores = np.empty((len(inputs), len(self.posterior.prior_variance)), dtype=np.float32)
        score_sd = np.empty_like(scores)

        def predict_rows(rows: Array) -> None:
            scores[rows], score_sd[rows] = self._predict_scores(inputs, rows)

        # blocks write to rows of their own, so that threads do not depend on each other
        map_parts(predict_rows, pieces(len(inputs), len(self.inducing_points)))
        offset = self.standardisation.means[sections[0]] if len(sections) else self.basis.offset
        return FactoredPrediction(inputs.locations, replace(self.basis, offset=offset), scores, score_sd)

    def adapted_to(self, inputs: Inputs) -> CokrigingPredictor:
        """Return the predictor with the staining and neighbourhoods of a section without training spots.

        Its r_loo is unknown (NaN): the estimate is of spots whose neighbours were fitted.

        Parameters
        ----------
        inputs
            Locations all over that section, with its index.

        Raises
        ------
        DataError
            When the locations belong to several sections.
        """
        if self.feature_transform is None or not len(inputs):
            return self
        sections = np.unique(inputs.section_index)
        if len(sections) > 1:
            raise DataError(
                f"Expected locations of one section, got {len(sections)}. Adapt to each by itself."
            )
        features = features_of(inputs, np.arange(len(inputs)))
        attribution = None if self.basis.attribution is None else self.basis.attribution.as_auxiliary()
        # unknown, not 0: leave-one-section-out cross-validation can estimate it
        basis = replace(self.basis.without_accuracy(), attribution=attribution)
        return replace(
            self,
            basis=basis,
            feature_transform=self.feature_transform.adapted_to(
                features, int(sections[0]), np.array(inputs.locations.xy)
            ),
        )

    def left_out_scores(self) -> tuple[Float[np.ndarray, "s k"], Float[np.ndarray, "s k"]]:
        """Return the leave-one-out mean and standard deviation of each factor score at each training spot."""
        return self.posterior.left_out, np.sqrt(self.posterior.left_out_variance)

    def arrays(self) -> dict[str, Array]:
        """Return all fitted arrays."""
        arrays = self.standardisation.arrays() | self.posterior.arrays()
        if self.microscale is not None:
            arrays |= self.microscale.arrays()
        if self.nearest_spots is not None:
            arrays |= self.nearest_spots.arrays()
        arrays |= {f"basis.{name}": getattr(self.basis, name) for name in (*_BASIS, *_ACCURACY)}
        arrays["basis.grade"] = np.searchsorted(_GRADES, self.basis.grade).astype(np.int8)
        if self.basis.attribution is not None:
            arrays["basis.attribution"] = self.basis.attribution.forms
        arrays["inducing_points.xy_um"] = self.inducing_points.xy_um
        arrays["inducing_points.section_index"] = self.inducing_points.section_index
        if self.feature_transform is not None:
            arrays |= self.feature_transform.arrays()
        for number, features in enumerate(self.inducing_points.image_features):
            prefix = of_encoder("inducing_points", number)
            arrays |= {f"{prefix}.{name}": getattr(features, name) for name in _FEATURES}
        return arrays

    def summary(self) -> dict[str, Any]:
        """Return the parameters of the covariance and the plain values of the fit."""
        covariance = {
            "ranges_um": list(self.covariance.ranges_um),
            "image_weight": self.covariance.image_weight,
            "scales": _scales_summary(self.covariance),
            "short_range_um": self.covariance.short_range_um,
            "diameter_um": self.inducing_points.diameter_um,
        }
        if self.covariance.shares is not None:
            covariance["shares"] = list(self.covariance.shares)
        return {"covariance": covariance, **self.fit_summary}

    @classmethod
    def restored(
        cls, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> CokrigingPredictor:
        """Rebuild the predictor from its :meth:`arrays` and its :meth:`summary`."""
        held = summary["covariance"]
        shares = tuple(held["shares"]) if "shares" in held else None
        encoders = len(shares or (1.0,)) if f"inducing_points.{_FEATURES[0]}" in arrays else 0
        features = tuple(
            ImageFeatures(*(arrays[f"{of_encoder('inducing_points', number)}.{name}"] for name in _FEATURES))
            for number in range(encoders)
        )
        basis = Basis(
            genes,
            *(arrays[f"basis.{name}"] for name in _BASIS),
            attribution=_restored_attribution(arrays),
            grade=_GRADES[arrays["basis.grade"]],
            **{name: arrays[f"basis.{name}"] for name in _ACCURACY},
        )
        return cls(
            basis,
            Standardisation.from_arrays(arrays),
            FactorPosterior.from_arrays(arrays),
            feature_transform=JoinedTransform.from_arrays(arrays, encoders) if encoders else None,
            covariance=Covariance(
                tuple(held["ranges_um"]),
                held["image_weight"],
                _restored_scales(held["scales"], encoders),
                held["short_range_um"],
                shares,
            ),
            inducing_points=KernelInputs(
                arrays["inducing_points.xy_um"],
                arrays["inducing_points.section_index"],
                held["diameter_um"],
                features,
            ),
            fit_summary={name: value for name, value in summary.items() if name != "covariance"},
            microscale=Microscale.from_arrays(arrays),
            nearest_spots=NearestSpots.from_arrays(arrays),
        )

    def supports(self, inputs: Inputs, rows: Array) -> list[tuple[Array, KernelInputs]]:
        """Return locations as the covariance compares them, those of one diameter at a time.

        A table of block covariances has one pair of diameters: measured spots and locations between them are apart.

        Parameters
        ----------
        inputs
            What the model reads at all locations.
        rows
            Which of them; the first value of each pair counts from 0 within them.
        """
        xy_um, sections = inputs.locations.xy[rows], inputs.section_index[rows]
        features: tuple[ImageFeatures, ...] = ()
        # at image weight 0 no kernel reads the features
        if self.feature_transform is not None and self.covariance.image_weight > 0:
            features = self.feature_transform.transform(features_of(inputs, rows), sections, xy_um)
        diameters_um = support_um(inputs, rows, self.inducing_points.diameter_um)
        parts = []
        for diameter_um in np.unique(diameters_um):
            part = np.flatnonzero(diameters_um == diameter_um)
            some = tuple(own.take(part) for own in features)
            parts.append((part, KernelInputs(xy_um[part], sections[part], float(diameter_um), some)))
        return parts

    def with_inducing_points(self, inputs: Inputs, rows: Array) -> tuple[Array, Array]:
        """Return the covariance of locations with the inducing points, and their prior variance."""
        dtype = self.posterior.dual.dtype.type
        covariance, prior = np.empty((len(rows), len(self.inducing_points)), dtype=dtype), np.empty(len(rows))
        for part, locations in self.supports(inputs, rows):
            covariance[part] = self.covariance(locations, self.inducing_points, dtype)
            prior[part] = self.covariance.variance(locations)
        return covariance, prior

    def _predict_scores(self, inputs: Inputs, rows: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of each factor score at some locations."""
        scores, sd = self.posterior.predict(*self.with_inducing_points(inputs, rows))
        if self.nearest_spots is not None:
            mean, variance = self.nearest_spots.at(inputs.locations.xy[rows], inputs.section_index[rows])
            scores, sd = scores + mean, np.sqrt(sd**2 + variance)
        if self.microscale is not None:
            scores += self.microscale.within(inputs, rows, self.inducing_points.diameter_um)
        return scores, sd


def _scales_summary(covariance: Covariance) -> Any:
    """Return the scales of the image features as plain values: of several encoders, a list."""
    plain = [{name: list(pair) for name, pair in scales.items()} for scales in covariance.scales]
    return plain if covariance.shares is not None else (plain[0] if plain else {})


def _restored_attribution(arrays: Mapping[str, Array]) -> Attribution | None:
    return Attribution(arrays["basis.attribution"]) if "basis.attribution" in arrays else None


def _restored_scales(held: Any, encoders: int) -> tuple[dict[str, tuple[float, float]], ...]:
    """Return the scales that :func:`_scales_summary` described."""
    parts = (held if isinstance(held, list) else [held])[:encoders]
    return tuple({name: (pair[0], pair[1]) for name, pair in part.items()} for part in parts)


def attribution_of(
    dual: Float[np.ndarray, "m k"],
    auxiliary_dual: Float[np.ndarray, "m k"],
    *,
    covariance: Covariance,
    spots: KernelInputs,
    inducing_points: KernelInputs,
    nearest_spots: NearestSpots | None = None,
) -> Attribution:
    """Attribute the variance of each output factor to position, histology and auxiliary sections (Eq. 19).

    A factor score is a sum of covariances with the inducing points times ``dual``, which is linear in the
    measurements. It is split by the section of the measurements, and for the section's own by kernel.

    Parameters
    ----------
    dual, auxiliary_dual
        Of the output factors, and the part that measurements of auxiliary sections contribute.
    covariance
        The fitted covariance.
    spots
        Training spots of the section to predict; a thousand of them are compared.
    inducing_points
        Locations that carry the process.
    nearest_spots
        What they add, which is of position.
    """
    some = spots.take(evenly(len(spots), _ATTRIBUTION_SPOTS))
    position, image = covariance.position(some, inducing_points), covariance.image(some, inducing_points)
    # measurements of the section itself, through either kind of kernel
    own = dual - auxiliary_dual
    of_position = position @ own
    if nearest_spots is not None:
        of_position = of_position + nearest_spots.at(some.xy_um, some.section_index)[0]
    return Attribution.of(np.stack([of_position, image @ own, (position + image) @ auxiliary_dual]))
