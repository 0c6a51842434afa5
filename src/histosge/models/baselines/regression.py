"""Regressors of scikit-learn as models: one adapter for the baselines, and for a regressor of the user's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from histosge._runtime.seeds import seed_of_32_bits
from histosge._runtime.types import Array, Float, Int
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import features_of, pieces
from histosge.models.scaling import Columns, Targets
from histosge.section.inputs import Inputs, Samples

__all__ = ["Regression", "RegressionPredictor", "SklearnModel"]

ReadColumns: TypeAlias = Literal["features", "positions", "both", "none"]


@dataclass(frozen=True, slots=True)
class SklearnModel(Model):
    """Fit a regressor of scikit-learn to expression, or to factors of expression.

    Image features are standardised and clipped at six standard deviations; positions stay in µm, so that distances
    keep their meaning, unless both are used: then all columns are standardised. Predictions below 0 are cut, as
    log1p(CP10k) has no negative values.

    Parameters
    ----------
    regressor
        An unfitted regressor, which is cloned for every fit, or a function from (spots, columns, genes) to one, for
        settings that depend on the shape of the data. It must predict several outputs; see
        :class:`sklearn.multioutput.MultiOutputRegressor` for those that predict one.
    inputs
        Columns that it reads: image features, positions, both, or none.
    factors
        Principal components of standardised expression to fit in place of the genes; ``None`` fits the genes.
    sd
        ``"residual"``: the root mean squared error of each gene at the training spots, everywhere. ``"regressor"``:
        ``regressor.predict(…, return_std=True)``. ``None``: no standard deviation.

    Examples
    --------
    >>> import histosge as hs
    >>> from histosge.models import predict
    >>> from histosge.section.genes import select
    >>> from histosge.section.inputs import Inputs
    >>> from histosge.section.multi_section import samples_of
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> spots = Inputs(hs.at_spots(section))
    >>> model = SklearnModel(KNeighborsRegressor(4), inputs="positions")
    >>> predictor = model.fit(samples_of(section, select(section, "all"), spots))
    >>> predict(predictor, spots).mean.shape
    (64, 12)
    """

    regressor: Any
    inputs: ReadColumns = "features"
    factors: int | None = None
    sd: Literal["residual", "regressor"] | None = None

    card: ClassVar[ModelCard] = ModelCard(
        "sklearn", "A regressor of scikit-learn.", "pedregosa2011", uses_position=True
    )

    @property
    def needs(self) -> Needs:
        """Image features, where the regressor reads them."""
        return Needs(features=self.inputs in ("features", "both"))

    @property
    def uses_position(self) -> bool:
        """Whether the regressor reads positions."""
        return self.inputs in ("positions", "both")

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> RegressionPredictor:
        """Fit the regressor; ``seed`` sets each ``random_state`` it has.

        Raises
        ------
        UsageError
            Without image features, where the regressor reads them.
        """
        rows = _in_order_of_names(samples.inputs) if self.uses_position else np.arange(len(samples))
        columns, expression = self.columns(samples.inputs, rows), samples.dense_expression
        # a copy of the expression of many bins is large
        in_order = bool((np.diff(rows) > 0).all())
        return self._fit(samples.genes, columns, expression if in_order else expression[rows], seed)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> RegressionPredictor:
        """Fit again to the stored training data: the same bits, and nothing on disk that can run code."""
        return self._fit(genes, arrays["columns"], arrays["expression"], int(summary["seed"]))

    def columns(self, inputs: Inputs, rows: Array) -> Float[np.ndarray, "b d"]:
        """Return what the regressor reads at some locations, before standardisation."""
        if self.inputs == "none":
            return np.zeros((len(rows), 1))
        xy_um = inputs.separated_xy_um[rows]
        if self.inputs == "positions":
            return np.asarray(xy_um)
        # encoders return float32: half the size on disk, and the same numbers
        features = features_of(inputs, rows).astype(np.float32)
        return features if self.inputs == "features" else np.hstack([features, xy_um])

    def _fit(self, genes: Array, columns: Array, expression: Array, seed: int) -> RegressionPredictor:
        scale = Columns.of(columns) if self.needs.features else None
        targets = None if self.factors is None else Targets.of(expression, "standardised", self.factors)
        regressor = self._regressor((*columns.shape, len(genes)), seed)
        fitted = regressor.fit(
            _scaled(columns, scale), expression if targets is None else targets.encode(expression)
        )
        predictor = RegressionPredictor(self, genes, columns, expression, fitted, scale, targets, seed)
        return predictor.with_residual_sd() if self.sd == "residual" else predictor

    def _regressor(self, shape: tuple[int, int, int], seed: int) -> Any:
        """Return a regressor that was not fitted before, seeded."""
        from sklearn.base import clone

        is_regressor = hasattr(self.regressor, "fit")
        regressor = clone(self.regressor) if is_regressor else self.regressor(*shape)
        if hasattr(regressor, "get_params"):
            names = [name for name in regressor.get_params() if name.endswith("random_state")]
            regressor.set_params(**dict.fromkeys(names, seed_of_32_bits(seed)))
        return regressor


@dataclass(frozen=True, slots=True, eq=False)
class RegressionPredictor:
    """A fitted regressor and its training data.

    Parameters
    ----------
    model
        Configuration.
    genes
        Names of the genes.
    training_columns, expression
        Training data.
    regressor
        Fitted to them.
    scale
        Means and standard deviations of the columns; ``None`` reads them as they are.
    targets
        Factors; ``None`` where genes are predicted.
    seed
        Of the fit.
    residual_sd
        Of each gene, where it is used as the standard deviation.
    """

    model: SklearnModel
    genes: Array
    training_columns: Float[np.ndarray, "n d"]
    expression: Float[np.ndarray, "n g"]
    regressor: Any
    scale: Columns | None
    targets: Targets | None
    seed: int
    residual_sd: Float[np.ndarray, " g"] | None = None

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict piece by piece; values below 0 are cut."""
        for rows in pieces(len(inputs), len(self.genes)):
            yield rows, *self._predict(self.model.columns(inputs, rows))

    def with_residual_sd(self) -> RegressionPredictor:
        """Return the predictor with the root mean squared error at the training spots as standard deviation."""
        mean = self._predict(self.training_columns)[0].astype(np.float64)
        return replace(self, residual_sd=np.sqrt(((self.expression - mean) ** 2).mean(axis=0)))

    def _predict(self, columns: Array) -> tuple[Array, Array | None]:
        """Return means and, where there are any, standard deviations."""
        scaled, sd = _scaled(columns, self.scale), self.residual_sd
        if self.model.sd == "regressor":
            mean, sd = self.regressor.predict(scaled, return_std=True)
        else:
            mean = self.regressor.predict(scaled)
        mean = np.asarray(mean, dtype=np.float32).reshape(len(columns), -1)
        if self.targets is not None:
            mean = self.targets.decode(mean)
        if sd is not None:
            sd = np.broadcast_to(np.asarray(sd, dtype=np.float32), mean.shape).copy()
        return np.maximum(mean, 0), sd

    def arrays(self) -> dict[str, Array]:
        """Return the training data."""
        return {"columns": self.training_columns, "expression": self.expression}

    def summary(self) -> dict[str, Any]:
        """Return the seed."""
        return {"seed": self.seed}


class Regression(Model):
    """A named model that is a regressor of scikit-learn: a frozen dataclass with a card and the property ``adapter``.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Forest(Regression):
    ...     trees: int = 100
    ...     card = ModelCard("forest", "Random forest on image features.", "", uses_position=False)
    ...
    ...     @property
    ...     def adapter(self):
    ...         from sklearn.ensemble import RandomForestRegressor
    ...
    ...         return SklearnModel(RandomForestRegressor(self.trees), inputs="features")
    >>> Forest().needs.features, Forest().uses_position
    (True, False)
    """

    __slots__ = ()

    @property
    @abstractmethod
    def adapter(self) -> SklearnModel:
        """Return the regressor and what it reads."""

    @property
    def needs(self) -> Needs:
        """Image features, where the regressor reads them."""
        return self.adapter.needs

    @property
    def uses_position(self) -> bool:
        """Whether the regressor reads positions."""
        return self.adapter.uses_position

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> RegressionPredictor:
        """Fit the regressor; see :meth:`SklearnModel.fit`."""
        return self.adapter.fit(samples, seed=seed, runtime=runtime)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> RegressionPredictor:
        """Fit the regressor again; see :meth:`SklearnModel.restore`."""
        return self.adapter.restore(genes, arrays, summary)


def _in_order_of_names(inputs: Inputs) -> Int[np.ndarray, " n"]:
    """Return the rows section by section in the order of their names, in which files are read.

    On a lattice many spots are at one distance, or on one circle: which of them is the neighbour, or the corner of a
    triangle, follows their order. So it is the same for every order of the rows.
    """
    return np.lexsort((inputs.locations.points.ids, inputs.section_index))


def _scaled(columns: Array, scale: Columns | None) -> Float[np.ndarray, "b d"]:
    return np.asarray(columns if scale is None else scale.apply(columns), dtype=np.float64)
