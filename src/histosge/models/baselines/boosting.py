"""Gradient boosting on image features: the accuracy of trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from histosge.errors import UsageError
from histosge.models.base import ModelCard

from .regression import Regression, SklearnModel

__all__ = ["ENTRIES", "Boosting"]


@dataclass(frozen=True, slots=True)
class Boosting(Regression):
    """Gradient-boosted regression trees (Friedman 2001) on histograms of the features, one model a factor.

    Factors of expression are boosted, not genes: trees of their own for a thousand genes would take hours and fit
    mostly noise. The defaults were chosen on the synthetic section; more trees and factors fit noise.

    Parameters
    ----------
    trees, depth
        Number and depth of the trees of a factor.
    learning_rate
        Factor on the output of each tree.
    features_per_split
        Share of the features, drawn at random, that a split chooses from.
    factors
        Principal components of standardised expression that are boosted.

    Raises
    ------
    UsageError
        For values out of range.

    Examples
    --------
    >>> Boosting(trees=100).factors
    10
    """

    trees: int = 60
    depth: int = 3
    learning_rate: float = 0.05
    features_per_split: float = 0.3
    factors: int = 10

    card: ClassVar[ModelCard] = ModelCard(
        "boosting",
        "Gradient-boosted trees on the image features, on factors of expression.",
        "friedman2001",
        uses_position=False,
    )

    def __post_init__(self) -> None:
        if min(self.trees, self.depth, self.factors) < 1:
            raise UsageError("`trees`, `depth` and `factors` must be 1 or more.")
        if not (0 < self.learning_rate <= 1 and 0 < self.features_per_split <= 1):
            raise UsageError("`learning_rate` and `features_per_split` must be above 0 and at most 1.")

    @property
    def adapter(self) -> SklearnModel:
        """One boosted model for each factor."""
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.multioutput import MultiOutputRegressor

        boosted = HistGradientBoostingRegressor(
            max_iter=self.trees,
            max_depth=self.depth,
            learning_rate=self.learning_rate,
            max_features=self.features_per_split,
            # a leaf of the default 20 spots leaves no split on a section of a few dozen
            min_samples_leaf=5,
            early_stopping=False,
        )
        return SklearnModel(MultiOutputRegressor(boosted), inputs="features", factors=self.factors)


ENTRIES = (Boosting,)
