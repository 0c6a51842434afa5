"""Gradient boosting on image features: how far trees go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import features_of, pieces
from histosge.models.scaling import Targets
from histosge.section.inputs import Inputs, Samples

__all__ = ["ENTRIES", "Boosting"]


@dataclass(frozen=True, slots=True)
class Boosting(Model):
    """Regression trees fitted to what those before them left over (Friedman 2001, 2002).

    All factors of expression share each tree: a thousand genes with trees of their own would take hours and learn
    mostly noise.

    Parameters
    ----------
    trees, depth
        How many, how deep.
    rate
        Share of each tree's answer that is taken.
    subsample
        Share of the spots, and of the features at each split, that a tree sees.
    factors
        Principal components of standardised expression that are boosted.
    """

    trees: int = 100
    depth: int = 4
    rate: float = 0.05
    subsample: float = 0.5
    factors: int = 30

    card: ClassVar[ModelCard] = ModelCard(
        "boosting",
        "Gradient-boosted trees on the image features, on factors of expression.",
        "friedman2001",
        uses_position=False,
    )

    def __post_init__(self) -> None:
        if min(self.trees, self.depth, self.factors) < 1:
            raise UsageError("`trees`, `depth` and `factors` must be 1 or more.")
        if not (0 < self.rate <= 1 and 0 < self.subsample <= 1):
            raise UsageError("`rate` and `subsample` must be above 0 and at most 1.")

    @property
    def needs(self) -> Needs:
        """Features."""
        return Needs(features=True)

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> BoostingPredictor:
        """Grow the trees.

        Raises
        ------
        UsageError
            Without features.
        """
        from sklearn.tree import DecisionTreeRegressor

        features = features_of(samples.inputs, np.arange(len(samples)))
        targets = Targets.of(samples.expression, "standardised", self.factors)
        rest = targets.encode(samples.expression).astype(np.float64)
        rng = np.random.default_rng(seed)
        seen = max(2, round(self.subsample * len(samples)))
        forest = []
        for _ in range(self.trees):
            rows = rng.choice(len(samples), seen, replace=False)
            tree = DecisionTreeRegressor(
                max_depth=self.depth,
                max_features=self.subsample,
                min_samples_leaf=min(5, max(1, seen // 10)),
                random_state=int(rng.integers(2**31)),
            )
            grown = Tree.of(tree.fit(features[rows], rest[rows]).tree_, self.rate)
            rest -= grown.answer(features)
            forest.append(grown)
        return BoostingPredictor(samples.genes, targets, tuple(forest))

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> BoostingPredictor:
        """Rebuild the predictor."""
        targets = Targets(arrays["targets.mean"], arrays["targets.scale"], arrays["targets.loadings"])
        ends = np.cumsum(arrays["trees.nodes"])[:-1]
        parts = [np.split(arrays[f"trees.{name}"], ends) for name in ("split", "children", "answer")]
        return BoostingPredictor(genes, targets, tuple(Tree(*part) for part in zip(*parts, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One tree as arrays.

    Parameters
    ----------
    split
        Feature looked at and value compared with, node by node.
    children
        Node to go to when the feature is at most the value, and otherwise; −1 at leaves.
    answer
        Of each node.
    """

    split: Float[np.ndarray, "m 2"]
    children: Int[np.ndarray, "m 2"]
    answers: Float[np.ndarray, "m k"]

    @classmethod
    def of(cls, tree: Any, rate: float) -> Tree:
        """Take scikit-learn's."""
        split = np.column_stack([np.maximum(tree.feature, 0), tree.threshold])
        children = np.column_stack([tree.children_left, tree.children_right]).astype(np.int64)
        return cls(split, children, rate * tree.value[:, :, 0])

    def answer(self, features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Send each row down to its leaf."""
        node = np.zeros(len(features), dtype=np.int64)
        rows = np.arange(len(features))
        while (inner := self.children[node, 0] >= 0).any():
            # the tree was grown on 32-bit features
            value = features[rows, self.split[node, 0].astype(np.int64)].astype(np.float32)
            right = (value > self.split[node, 1]).astype(np.int64)
            node = np.where(inner, self.children[node, right], node)
        return np.asarray(self.answers[node])


@dataclass(frozen=True, slots=True, eq=False)
class BoostingPredictor:
    """Factors and trees."""

    genes: Array
    targets: Targets
    forest: tuple[Tree, ...]

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Add the trees up; values below 0 are cut."""
        for rows in pieces(len(inputs), len(self.genes)):
            features = features_of(inputs, rows)
            answers = np.zeros((len(rows), self.targets.width))
            for tree in self.forest:
                answers += tree.answer(features)
            yield rows, np.maximum(self.targets.decode(answers.astype(np.float32)), 0), None

    def arrays(self) -> dict[str, Array]:
        """Return the trees, one after another."""
        held = self.targets.arrays()
        held["trees.nodes"] = np.array([len(tree.split) for tree in self.forest])
        held["trees.split"] = np.concatenate([tree.split for tree in self.forest])
        held["trees.children"] = np.concatenate([tree.children for tree in self.forest])
        held["trees.answer"] = np.concatenate([tree.answers for tree in self.forest])
        return held

    def summary(self) -> dict[str, Any]:
        """Return how many trees grew."""
        return {"trees": len(self.forest)}


ENTRIES = (Boosting,)
