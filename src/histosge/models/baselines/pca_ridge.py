"""Principal components and ridge regression: the regression by which HEST-bench compares encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from histosge.errors import UsageError
from histosge.models.base import ModelCard

from .regression import Regression, SklearnModel

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["ENTRIES", "PCARidge"]


@dataclass(frozen=True, slots=True)
class PCARidge(Regression):
    """Standardised features, their principal components, ridge regression (Jaume et al. 2024).

    HEST-bench predicts across slides and scores correlation alone, and needs no intercept. Here there is one: it
    changes no correlation and gives squared errors a meaning.

    Parameters
    ----------
    components
        Largest number of components; never more than there are spots less one, or features.
    alpha
        Penalty; ``None``: 100 / (components × genes) as in HEST-bench, which is close to none.

    Raises
    ------
    UsageError
        For fewer than one component or a negative penalty.

    Examples
    --------
    >>> PCARidge(components=64).alpha is None
    True
    """

    components: int = 256
    alpha: float | None = None

    card: ClassVar[ModelCard] = ModelCard(
        "pca-ridge",
        "Ridge regression on 256 principal components of the image features.",
        "jaume2024hest",
        uses_position=False,
    )

    def __post_init__(self) -> None:
        if self.components < 1 or (self.alpha is not None and self.alpha < 0):
            raise UsageError(
                f"`components` must be 1 or more and `alpha` 0 or more, got {self.components} and {self.alpha}."
            )

    @property
    def adapter(self) -> SklearnModel:
        """Components and ridge regression, one after the other."""
        return SklearnModel(self._regressor, inputs="features")

    def _regressor(self, spots: int, columns: int, genes: int) -> Pipeline:
        from sklearn.decomposition import PCA
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline

        components = max(1, min(self.components, spots - 1, columns))
        alpha = 100 / (components * genes) if self.alpha is None else self.alpha
        return make_pipeline(PCA(components, svd_solver="full"), Ridge(alpha))


ENTRIES = (PCARidge,)
