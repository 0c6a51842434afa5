"""Predictors whose genes are in another order than they were fitted in.

Sums over genes and the initial weights of a network depend on the order of the genes. Models are therefore fitted to
genes in the order of their names, and predict them in the order of the section.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from histosge._runtime.names import positions_or_refuse
from histosge._runtime.types import Array, Float
from histosge.prediction.factored import FactoredPrediction
from histosge.section.inputs import Inputs

from .base import AdaptivePredictor, Block, FactoredPredictor, Predictor

__all__ = ["as_fitted", "in_gene_order"]


def in_gene_order(predictor: Predictor, genes: Sequence[str] | Array) -> Predictor:
    """Return a predictor of the same genes in the order of ``genes``; the same one where they are in it already.

    Arrays and summary stay those of the fit: a model restores them with the genes of :func:`as_fitted`.

    Raises
    ------
    UsageError
        For a gene that is not predicted.
    """
    if np.array_equal(np.asarray(genes, dtype=str), predictor.genes):
        return predictor
    kinds = {
        (False, False): _Ordered,
        (True, False): _OrderedFactored,
        (False, True): _OrderedAdaptive,
        (True, True): _OrderedFactoredAdaptive,
    }
    kind = kinds[isinstance(predictor, FactoredPredictor), isinstance(predictor, AdaptivePredictor)]
    return kind(predictor, genes)


def as_fitted(predictor: Predictor) -> Predictor:
    """Return the predictor whose genes are in the order of its arrays."""
    return predictor.fitted if isinstance(predictor, _Ordered) else predictor


class _Ordered:
    def __init__(self, fitted: Any, genes: Sequence[str] | Array) -> None:
        self.fitted = fitted
        self._genes = np.asarray(genes, dtype=str)
        self._columns = positions_or_refuse(self._genes, fitted.genes, "genes of the fit")

    @property
    def genes(self) -> Array:
        return self._genes

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        for rows, mean, sd in self.fitted.blocks(inputs):
            yield rows, mean[:, self._columns], None if sd is None else sd[:, self._columns]

    def arrays(self) -> Mapping[str, Array]:
        arrays: Mapping[str, Array] = self.fitted.arrays()
        return arrays

    def summary(self) -> Mapping[str, Any]:
        summary: Mapping[str, Any] = self.fitted.summary()
        return summary


class _OrderedFactored(_Ordered):
    @property
    def basis(self) -> Any:
        return self.fitted.basis.take(self._columns)

    def factored(self, inputs: Inputs) -> FactoredPrediction:
        prediction: FactoredPrediction = self.fitted.factored(inputs)
        return prediction.only(self._genes.tolist())

    def left_out_scores(self) -> tuple[Float[np.ndarray, "s k"], Float[np.ndarray, "s k"]]:
        scores: tuple[Array, Array] = self.fitted.left_out_scores()
        return scores


class _OrderedAdaptive(_Ordered):
    def adapted_to(self, inputs: Inputs) -> Predictor:
        return in_gene_order(self.fitted.adapted_to(inputs), self._genes)


class _OrderedFactoredAdaptive(_OrderedFactored, _OrderedAdaptive):
    pass
