"""Ridge regression on image features: the accuracy of a linear model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from histosge._runtime.options import preset_options, validated_options
from histosge._runtime.types import Float
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import Crop, ModelCard, Needs
from histosge.prediction.evidence_ridge import EvidenceRidge

from .regression import Regression, SklearnModel

__all__ = ["ENTRIES", "MarginalLikelihoodRidge", "Ridge"]


@dataclass(frozen=True, slots=True)
class Ridge(Regression):
    """Ridge regression (Hoerl & Kennard 1970) on image features; the penalty of each gene by marginal likelihood.

    Parameters
    ----------
    crop_um, crop_px
        Width of the patch, in µm or in pixels of the full-resolution image. ``None`` for both: the encoder's own.
    windows_of
        Another model, as ``deepspot`` or ``bleep:published``, whose patch and windows are read in place of these: the
        features of all windows around a location stand side by side. So a model can be compared with ridge regression
        on what it reads itself.

    Raises
    ------
    UsageError
        For two widths, a width that is not positive, and for a model that is unknown or reads no image features.

    Examples
    --------
    >>> Ridge().uses_image, Ridge().uses_position
    (True, False)
    >>> [windows.number for windows in Ridge(windows_of="deepspot").needs.windows]
    [1, 9, 6]
    """

    crop_um: float | None = None
    crop_px: int | None = None
    windows_of: str | None = None

    card: ClassVar[ModelCard] = ModelCard(
        "ridge",
        "Linear in the image features; the penalty of each gene by marginal likelihood.",
        "hoerl1970",
        uses_position=False,
    )

    def __post_init__(self) -> None:
        widths = [name for name in ("crop_um", "crop_px") if getattr(self, name) is not None]
        set_options = [*widths, *([] if self.windows_of is None else ["windows_of"])]
        if len(set_options) > 1:
            raise UsageError(
                f"Expected one of `{'`, `'.join(set_options)}`, got several. Leave out all but one."
            )
        refuse_nonpositive(self, *widths)
        if self.windows_of is not None and not _needs_of(self.windows_of).features:
            raise UsageError(
                f"`windows_of` must name a model that reads image features, as deepspot; {self.windows_of} reads none."
            )

    @property
    def needs(self) -> Needs:
        """Image features of the patch, or of the windows of another model; of its inputs no other."""
        if self.windows_of is None:
            return Needs(features=True, crop=Crop.of(self.crop_um, self.crop_px))
        needs = _needs_of(self.windows_of)
        return Needs(features=True, crop=needs.crop, windows=needs.windows)

    @property
    def adapter(self) -> SklearnModel:
        """Ridge regression on image features."""
        return SklearnModel(
            lambda spots, columns, genes: MarginalLikelihoodRidge(), inputs="features", sd="regressor"
        )


class MarginalLikelihoodRidge:
    """Ridge regression with scikit-learn's methods; see :class:`histosge.prediction.evidence_ridge.EvidenceRidge`.

    scikit-learn's ``BayesianRidge`` predicts one output; here all genes share one eigendecomposition.
    """

    def fit(
        self, features: Float[np.ndarray, "n d"], expression: Float[np.ndarray, "n g"]
    ) -> MarginalLikelihoodRidge:
        """Fit weights and penalties."""
        self.ridge = EvidenceRidge.fit(features, expression)
        return self

    def predict(
        self, features: Float[np.ndarray, "b d"], return_std: bool = False
    ) -> Float[np.ndarray, "b g"] | tuple[Float[np.ndarray, "b g"], Float[np.ndarray, "b g"]]:
        """Return means and, if asked for, standard deviations of a measurement."""
        mean, sd = self.ridge.predict(features)
        return (mean, sd) if return_std else mean


def _needs_of(model: str) -> Needs:
    """Return what a model reads, given by its name and, after a colon, its preset."""
    # the registry finds this file
    from histosge.models import MODELS

    name, _, preset = model.partition(":")
    kind = MODELS[name]
    needs: Needs = kind(**validated_options(kind, preset_options(kind, preset or None))).needs
    return needs


ENTRIES = (Ridge,)
