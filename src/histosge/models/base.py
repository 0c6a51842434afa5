"""What a model is: ``model.fit(samples)`` returns a predictor, ``predictor.blocks(inputs)`` predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from histosge._runtime.device import Precision
from histosge._runtime.types import Array, Float
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.inputs import Inputs, Samples

from .needs import Crop, Needs, Windows

__all__ = [
    "AdaptivePredictor",
    "Block",
    "Crop",
    "FactoredPredictor",
    "Model",
    "ModelCard",
    "Needs",
    "Predictor",
    "Runtime",
    "Task",
    "Windows",
    "Workers",
    "predict",
]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a user must know of a model.

    Parameters
    ----------
    name
        As given to ``--model``.
    summary
        One sentence.
    citation
        Key in ``references.bib``; empty where there is nobody to cite.
    uses_position
        Whether predictions can depend on position.
    deep
        Whether it needs PyTorch: the extra ``deep``.
    bytes_per_value
        Memory that a fit needs at its peak for each value of spots × genes, its data included. The default is
        the expression and one copy of it, which every model has.
    streamed_bytes
        Memory of a fit from sparse expression: of any, for each spot, and for each value of spots × genes where a tenth
        of them is not 0.
    """

    name: str
    summary: str
    citation: str
    uses_position: bool
    deep: bool = False
    bytes_per_value: float = 16.0
    streamed_bytes: tuple[float, float, float] = (0.0, 0.0, 0.0)


@runtime_checkable
class Workers(Protocol):
    """Other processes, on this machine or on others, that compute parts of a fit."""

    @property
    def folder(self) -> Path:
        """A folder that all of them reach under the same name, for data that are not to be sent."""
        ...

    def map(self, function: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
        """Return ``function`` of each argument, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """On what a fit is computed. Nothing here changes what a model means.

    Parameters
    ----------
    device, precision
        Resolved device; ``"fp32"`` or ``"bf16"`` autocast.
    checkpoint
        Folder for resumable training state; ``None`` keeps none.
    progress
        Called with (done, total, text) as work proceeds.
    watch
        Called with (epoch, predictor) after each epoch of a network's training, with the weights of that epoch, so
        that learning curves can be drawn. The predictor is valid during the call only.
    workers
        Other processes that a fit may send parts of its work to; ``None``: it has this one.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    checkpoint: Path | None = None
    progress: Callable[[int, int, str], None] | None = field(default=None, compare=False)
    watch: Callable[[int, Predictor], None] | None = field(default=None, compare=False)
    workers: Workers | None = field(default=None, compare=False)


# rows of the inputs (ascending), their means and, where the model has them, their standard deviations
Block: TypeAlias = "tuple[Array, Float[np.ndarray, 'b g'], Float[np.ndarray, 'b g'] | None]"


@runtime_checkable
class Predictor(Protocol):
    """A fitted model. All it keeps of the measured spots is inside it."""

    @property
    def genes(self) -> Array:
        """Names of the genes predicted, in the order of the columns."""
        ...

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict piece by piece, in bounded memory; together the pieces hold every row exactly once."""
        ...

    def arrays(self) -> Mapping[str, Array]:
        """Return all fitted arrays, to be saved."""
        ...

    def summary(self) -> Mapping[str, Any]:
        """Return the fitted plain values (JSON), loss curve included, to be saved and written to the provenance."""
        ...


@runtime_checkable
class FactoredPredictor(Predictor, Protocol):
    """A predictor whose genes are sums of a few factors: its predictions can be kept as factor scores."""

    def factored(self, inputs: Inputs) -> FactoredPrediction:
        """Predict at all locations, kept as factors."""
        ...

    def left_out_scores(self) -> tuple[Float[np.ndarray, "s k"], Float[np.ndarray, "s k"]]:
        """Return mean and standard deviation of each factor at each fitted spot, predicted from all others."""
        ...


@runtime_checkable
class AdaptivePredictor(Predictor, Protocol):
    """A predictor that adapts to a section of which no spot was fitted, by the statistics of its image."""

    def adapted_to(self, inputs: Inputs) -> Predictor:
        """Return a predictor adapted to the locations of another section."""
        ...


#: what is predicted: test spots among those fitted, those of a coarser lattice, bins or cells finer than the spots
#: fitted, or a section of which no spot is fitted
Task: TypeAlias = Literal["test_spots", "sublattice", "finer", "new_section"]


@runtime_checkable
class SectionsModel(Protocol):
    """A model that fits several sections at once, and gives each a predictor of its own."""

    def fit_sections(
        self,
        samples: Samples,
        *,
        diameters_um: Sequence[float],
        seed: int = 0,
        runtime: Runtime = Runtime(),
    ) -> Iterator[Predictor]:
        """Yield a predictor of each section, in which that section is number 0."""
        ...


@runtime_checkable
class Model(Protocol):
    """A frozen configuration; the hash of its fields identifies it.

    A model inherits from this class, sets ``card`` and defines :attr:`needs`, :meth:`fit` and :meth:`restore`.
    """

    __slots__ = ()

    card: ClassVar[ModelCard]
    # whether its predictors are FactoredPredictors, so that genes outside the panel can be predicted too
    predicts_factors: ClassVar[bool] = False

    @property
    def needs(self) -> Needs:
        """What must be prepared."""
        ...

    @property
    def uses_image(self) -> bool:
        """Whether predictions of this configuration depend on the image."""
        return self.needs.image

    @property
    def uses_position(self) -> bool:
        """Whether predictions of this configuration depend on position; from the card unless a model overrides it."""
        return self.card.uses_position

    @property
    def joint(self) -> bool:
        """Whether the prediction at a location depends on which other locations are predicted with it."""
        return False

    def reason_against(self, task: Task) -> str:
        """Return why an evaluation leaves the model out of a task, in a sentence; empty where it does not."""
        return ""

    def reads_sparse(self, spots: int) -> bool:
        """Whether a fit of so many spots reads sparse expression, and needs no matrix of spots × genes."""
        return False

    def fit_bytes(self, spots: int, genes: int) -> float:
        """Return the memory that a fit needs at its peak, its data included; from the card unless overridden."""
        if self.reads_sparse(spots):
            fixed, of_spot, of_value = self.card.streamed_bytes
            return fixed + spots * (of_spot + of_value * genes)
        return self.card.bytes_per_value * spots * genes

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> Predictor:
        """Fit the model to ``samples``. The same seed gives the same bits on one kind of CPU and number of threads."""
        ...

    def restore(self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]) -> Predictor:
        """Rebuild the predictor from the results of :meth:`Predictor.arrays` and :meth:`Predictor.summary`."""
        ...


def predict(predictor: Predictor, inputs: Inputs) -> Prediction:
    """Return the whole prediction in memory; see :func:`histosge.io.writers.h5ad.stream` for more than fits."""
    genes = predictor.genes
    mean = np.empty((len(inputs), len(genes)), dtype=np.float32)
    sd: Array | None = None
    for rows, block, block_sd in predictor.blocks(inputs):
        mean[rows] = block
        if block_sd is not None:
            sd = np.empty_like(mean) if sd is None else sd
            sd[rows] = block_sd
    return Prediction(inputs.locations, genes, mean, sd)
