"""BayesSpace's enhancement (Zhao et al. 2021): principal components of sub-spots, by a Markov chain without image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from histosge._runtime.seeds import seed_of_32_bits
from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime, Task
from histosge.models.blocks import pieces
from histosge.prediction.principal_components import principal_axes
from histosge.section.inputs import Inputs, Samples

from .subspot_chain import Mixture, MixtureOptions, spot_labels, subspot_means
from .subspots import SubSpots, subspots_of

__all__ = ["BayesSpace", "BayesSpacePredictor"]

# sub-spots that are averaged outside of measured spots, and whose distances are equal to this many µm
_AVERAGED, _EQUAL_UM = 6, 1e-3


@dataclass(frozen=True, slots=True)
class BayesSpace(Model):
    """Configuration: the enhancement with its linear regression of genes on components (``lm``).

    The mean of the sub-spots is the spot, so that the method tells of differences within spots alone. It is defined
    inside measured spots: evaluations score it against a truth finer than spots, and leave it out where spots are
    predicted. ``idw`` is an adaptation to these, which the authors do not have. Components are those of log1p(CP10k),
    in units of log2 as the original's.

    Parameters
    ----------
    locations
        ``"subspot"``: the components of the sub-spot that a location is in; outside of measured spots, of the nearest.
        Of equally near ones, as in the middle of a spot, the mean. ``"average"``: of the six nearest sub-spots,
        weighted by inverse distance.
    clusters
        Of the mixture.
    components
        Principal components, of the genes that vary most.
    variable_genes
        How many genes these are. All genes are predicted.
    smoothing
        γ, the weight of neighbours; ``None``: 3 on hexagonal lattices, 2 on others, as published.
    iterations, spot_iterations
        Of the chain of sub-spots, and of the one of spots that gives it its labels. The original has 100 000 and
        50 000; the first tenth does not count.
    jitter_scale
        Variance of a step times the number of components, 5 as published; 0 adapts it, in the first tenth.
    jitter_prior
        How far sub-spots are from their spot: the variance of their prior, relative to that of the components.
    prior_on
        Whether ``jitter_prior`` multiplies the variance, as documented, or the precision, as in the code: then a
        smaller value is a greater distance.
    whole_shape
        Whether the shape of a gamma distribution, half of components + 4, is rounded down by a division of integers.

    Raises
    ------
    UsageError
        For numbers below 1 or that are not positive.

    Examples
    --------
    >>> BayesSpace().uses_image, bool(BayesSpace().reason_against("test_spots"))
    (False, True)
    """

    locations: Literal["subspot", "average"] = "subspot"
    clusters: int = 7
    components: int = 15
    variable_genes: int = 2000
    smoothing: float | None = None
    iterations: int = 20_000
    spot_iterations: int = 5_000
    jitter_scale: float = 0.0
    jitter_prior: float = 0.3
    prior_on: Literal["variance", "precision"] = "variance"
    whole_shape: bool = False

    card: ClassVar[ModelCard] = ModelCard(
        "bayesspace",
        "Principal components of sub-spots, inside measured spots, by a Markov chain (BayesSpace, enhanced).",
        "zhao2021bayesspace",
        uses_position=True,
        bytes_per_value=32.0,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {
            "iterations": 100_000,
            "spot_iterations": 50_000,
            "jitter_scale": 5.0,
            "prior_on": "precision",
            "whole_shape": True,
        },
        "idw": {"locations": "average"},
    }

    def __post_init__(self) -> None:
        refuse_nonpositive(self, "clusters", "components", "variable_genes", "iterations", "spot_iterations")
        if not (self.jitter_prior > 0 and self.jitter_scale >= 0 and (self.smoothing or 0) >= 0):
            raise UsageError(
                "`jitter_prior` must be positive, `jitter_scale` and `smoothing` 0 or more, got "
                f"{self.jitter_prior}, {self.jitter_scale} and {self.smoothing}. BayesSpace has 0.3, 5 and 3."
            )

    @property
    def needs(self) -> Needs:
        """No image."""
        return Needs()

    def reason_against(self, task: Task) -> str:
        """Return that sub-spots are inside measured spots."""
        if task == "new_section":
            return "BayesSpace divides measured spots, and a section without any has none to divide."
        if task == "finer" or self.locations == "average":
            return ""
        return (
            "BayesSpace divides measured spots and predicts nothing outside of them. The preset `idw` averages the "
            "nearest sub-spots there, which the authors do not."
        )

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> BayesSpacePredictor:
        """Run the chains.

        Raises
        ------
        DataError
            For spots that are on no lattice.
        """
        # the draws belong to rows: spots are in the order of their positions, and not in that of the file
        order = np.lexsort((*samples.inputs.locations.xy.T, samples.inputs.section_index))
        inputs, expression = samples.inputs.take(order), samples.dense_expression[order]
        components = self._components(expression)
        design = np.column_stack([np.ones(len(components)), components])
        coefficients = np.linalg.lstsq(design, expression, rcond=None)[0]
        xy_um, values, acceptance = [], [], []
        sections = np.unique(inputs.section_index)
        for section in sections:
            rows = np.flatnonzero(inputs.section_index == section)
            divided = subspots_of(inputs.separated_xy_um[rows], inputs.locations.lattice_xy[rows])
            rng = np.random.default_rng([seed, int(section)])
            means, accepted = self._chain(components[rows], divided, rng)
            xy_um.append(divided.xy_um.reshape(-1, 2))
            values.append(means.reshape(-1, components.shape[1]))
            acceptance.append(accepted)
        return BayesSpacePredictor(
            self,
            samples.genes,
            np.concatenate(xy_um),
            np.concatenate(values),
            coefficients,
            sections,
            np.array(acceptance),
        )

    def _components(self, expression: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "n d"]:
        variance = expression.var(axis=0)
        # stable: of genes that vary equally the first ones
        varying = np.sort(np.argsort(-variance, kind="stable")[: self.variable_genes])
        chosen = np.asarray(expression[:, varying], dtype=np.float64) / np.log(2)
        chosen -= chosen.mean(axis=0)
        axes = principal_axes(chosen, max(1, min(self.components, len(chosen) - 1)))
        return np.asarray(chosen @ axes.T)

    def _chain(
        self, components: Float[np.ndarray, "n d"], divided: SubSpots, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "n s d"], float]:
        """Return the mean components of the sub-spots of a section, and the acceptance of steps."""
        from sklearn.cluster import KMeans

        clusters = min(self.clusters, len(components))
        start = KMeans(clusters, n_init=10, random_state=seed_of_32_bits(int(rng.integers(2**32))))
        options = self._options(components, hexagonal=divided.hexagonal)
        spots = Mixture(
            components,
            start.fit(components).labels_.astype(np.intp),
            clusters,
            graph=divided.spots,
            options=options,
            rng=rng,
        )
        labels = spot_labels(spots, self.spot_iterations)
        number = divided.xy_um.shape[1]
        subspots = Mixture(
            np.repeat(components, number, axis=0),
            np.repeat(labels, number),
            clusters,
            graph=divided.subspots,
            options=options,
            rng=rng,
        )
        return subspot_means(subspots, number, self.iterations)

    def _options(self, components: Float[np.ndarray, "n d"], *, hexagonal: bool) -> MixtureOptions:
        variance = max(float(components.var(axis=0).mean()), 1e-12)
        precision = self.jitter_prior if self.prior_on == "precision" else 1 / self.jitter_prior
        return MixtureOptions(
            smoothing=self.smoothing if self.smoothing is not None else 3.0 if hexagonal else 2.0,
            jitter_scale=self.jitter_scale,
            displacement=precision / (2 * variance),
            whole_shape=self.whole_shape,
        )

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> BayesSpacePredictor:
        """Rebuild the predictor."""
        names = ("xy_um", "components", "coefficients", "sections", "acceptance")
        return BayesSpacePredictor(self, genes, *(np.array(arrays[name]) for name in names))


@dataclass(frozen=True, slots=True, eq=False)
class BayesSpacePredictor:
    """The components of the sub-spots; see :class:`histosge.models.base.Predictor`.

    Parameters
    ----------
    model
        Configuration.
    genes
        Names of the genes.
    xy_um
        Positions of the sub-spots; sections lie side by side.
    components
        Of the sub-spots.
    coefficients
        Intercept and slopes of the genes.
    sections
        Index of each section that has spots.
    acceptance
        Share of the steps that were accepted, of each section.
    """

    model: BayesSpace
    genes: Array
    xy_um: Float[np.ndarray, "n 2"]
    components: Float[np.ndarray, "n d"]
    coefficients: Float[np.ndarray, "c g"]
    sections: Int[np.ndarray, " s"]
    acceptance: Float[np.ndarray, " s"]

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict piece by piece; values below 0 are cut.

        Raises
        ------
        UsageError
            In a section of which no spot was fitted.
        """
        from scipy.spatial import cKDTree

        if not np.isin(inputs.section_index, self.sections).all():
            raise UsageError(
                "BayesSpace divides measured spots of a section, and this one has none. Use `ridge`."
            )
        tree, xy_um = cKDTree(self.xy_um), inputs.separated_xy_um
        for rows in pieces(len(inputs), len(self.genes)):
            components = self.at(tree, xy_um[rows])
            mean = self.coefficients[0] + components @ self.coefficients[1:]
            yield rows, np.maximum(mean, 0).astype(np.float32), None

    def at(self, tree: Any, xy_um: Float[np.ndarray, "b 2"]) -> Float[np.ndarray, "b d"]:
        """Return the components at locations, from the tree of the sub-spots."""
        distance_um, nearest = tree.query(xy_um, k=_AVERAGED)
        if self.model.locations == "average":
            weights = 1 / np.maximum(distance_um, _EQUAL_UM)
        else:
            weights = (distance_um <= distance_um[:, :1] + _EQUAL_UM).astype(np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("bk,bkd->bd", weights, self.components[nearest]))

    def arrays(self) -> dict[str, Array]:
        """Return the sub-spots, the regression and the acceptance."""
        names = ("xy_um", "components", "coefficients", "sections", "acceptance")
        return {name: getattr(self, name) for name in names}

    def summary(self) -> dict[str, Any]:
        """Return the acceptance, which should be from 0.2 to 0.4."""
        return {"acceptance": [float(value) for value in self.acceptance]}


ENTRIES = (BayesSpace,)
