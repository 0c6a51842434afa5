"""What a model is: ``model.fit(samples)`` returns a predictor, ``predictor.blocks(inputs)`` predicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from histosge._runtime.device import Precision
from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.geometry.lattice import Lattice
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.inputs import Inputs, Samples

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
class Crop:
    """The patch that a model reads around a location, where it differs from the encoder's own.

    Exactly one of the sizes is set. ``size_px`` counts pixels of the full-resolution image, as most published systems
    do; the section's ``mpp`` turns it into µm. ``size_diameters`` counts diameters of the section's spots.

    Parameters
    ----------
    size_um, size_px, size_diameters
        Width of the patch.
    channel_order
        Order of the colour channels; ``"bgr"`` where a published system read images with OpenCV.

    Examples
    --------
    >>> Crop.of(None, 112)
    Crop(size_um=None, size_px=112, channel_order='rgb', size_diameters=None)
    """

    size_um: float | None = None
    size_px: int | None = None
    channel_order: Literal["rgb", "bgr"] = "rgb"
    size_diameters: float | None = None

    def width_um(self, mpp: float, diameter_um: float) -> float | None:
        """Return the width in µm on a section; ``None`` where no size is set: the encoder's own.

        Parameters
        ----------
        mpp
            µm per pixel of the full-resolution image.
        diameter_um
            Of a spot.

        Raises
        ------
        UsageError
            For a width in diameters where spots have none.
        """
        if self.size_diameters is not None:
            if not diameter_um > 0:
                raise UsageError(
                    "The patch is so many diameters of a spot wide, and these spots have none. Set `crop_um`."
                )
            return self.size_diameters * diameter_um
        return self.size_um if self.size_px is None else self.size_px * mpp

    @classmethod
    def of(cls, size_um: float | None, size_px: int | None) -> Crop | None:
        """Return the patch in µm where ``size_um`` is set, else in pixels; ``None`` means the encoder's own."""
        if size_um is not None:
            return cls(size_um)
        return None if size_px is None else cls(size_px=size_px)


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows around a location, each of which gets image features of its own.

    Parameters
    ----------
    offsets
        From the location to the centre of each window, (x, y).
    share
        Width of each window, as a share of that of the model's patch.
    in_pitches
        Whether offsets count pitches of the section, and not widths of the windows.
    on_array
        Whether offsets are columns and rows of the section's array; see :meth:`array`.

    Examples
    --------
    >>> Windows.grid(3).number, Windows.ring(6).number
    (9, 6)
    >>> Windows.grid(2, share=0.5).offsets_um(100.0, 200.0).tolist()
    [[-25.0, -25.0], [25.0, -25.0], [-25.0, 25.0], [25.0, 25.0]]
    """

    offsets: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    share: float = 1.0
    in_pitches: bool = False
    on_array: bool = False

    @classmethod
    def grid(cls, side: int, *, share: float = 1.0) -> Windows:
        """Return side × side touching windows, row by row."""
        steps = [index - (side - 1) / 2 for index in range(side)]
        return cls(tuple((x, y) for y in steps for x in steps), share)

    @classmethod
    def ring(cls, number: int) -> Windows:
        """Return windows on a circle with a radius of one pitch; six of them surround a location as on Visium."""
        angles = (2 * math.pi * index / number for index in range(number))
        return cls(tuple((math.cos(angle), math.sin(angle)) for angle in angles), in_pitches=True)

    @classmethod
    def array(cls) -> Windows:
        """Return eight windows at the neighbours by column and row: the four of Visium twice, which no maximum sees."""
        return cls(tuple((x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y), on_array=True)

    @property
    def number(self) -> int:
        """How many windows."""
        return len(self.offsets)

    def offsets_um(
        self, width_um: float, pitch_um: float, lattice: Lattice | None = None
    ) -> Float[np.ndarray, "w 2"]:
        """Return the offsets in µm, for a model's patch of ``width_um``; ``lattice``: that of the section."""
        if self.on_array:
            near = np.empty((0, 2)) if lattice is None else lattice.array_neighbours_um()
            if not len(near):
                raise UsageError(
                    "The model reads neighbours on an array; these spots have none. Set `around` to 6."
                )
            return near[np.arange(self.number) % len(near)]
        unit = pitch_um if self.in_pitches else width_um * self.share
        return np.asarray(self.offsets, dtype=np.float64) * unit


@dataclass(frozen=True, slots=True)
class Needs:
    """What the workflow must prepare for a model.

    Parameters
    ----------
    features
        Image features of an encoder.
    colour
        Mean colour of the patch.
    patch_px
        Side of the raw patches that the model trains its own network on; ``None`` for models that read features.
    crop
        The patch to take instead of the encoder's own.
    windows
        Windows around a location whose image features stand side by side, in this order, in place of those at the
        location alone; empty: the location alone.
    blank_edge_um
        Width of a strip at the bottom and on the right of the image, padded to a multiple of it, in which features are
        0; 0: there is none.
    """

    features: bool = False
    colour: bool = False
    patch_px: int | None = None
    crop: Crop | None = None
    windows: tuple[Windows, ...] = ()
    blank_edge_um: float = 0.0

    @property
    def image(self) -> bool:
        """Whether any of it comes from the image."""
        return self.features or self.colour or self.patch_px is not None


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
