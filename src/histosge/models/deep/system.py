"""What the deep systems share: reading places, batches, fitting, asking. A system is a network, its options, a loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from histosge._runtime.device import seed_everything
from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.section.inputs import Inputs, Samples

from .batches import Frame, Sight, Tensors
from .memory import refuse_too_large
from .training import Schedule, train
from .windows import windows

if TYPE_CHECKING:
    import torch

    Module: TypeAlias = Any

__all__ = ["Deep", "DeepPredictor", "Grouping", "Outline"]

# places asked at once: windows of 224 pixels take some 10 MB each on their way through VGG
_ROWS_PATCHES, _ROWS_FEATURES = 64, 2048
_FEWEST = 4


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which places a network sees together.

    Parameters
    ----------
    batch
        Spots a step; of windows it is one.
    window
        Places of a window, in the order of the file, whose network looks from place to place; ``None``: places are
        seen one by one. 0: all places asked for are one window.
    """

    batch: int = 1
    window: int | None = None

    def together(self, rows: Array) -> list[Array]:
        """Return the windows that rows fall into, in file order; one of all rows where there are none."""
        if not self.window:
            return [rows]
        parts = windows(np.zeros((len(rows), 2)), max(self.window, 2), "file")
        return [rows[part] for part in parts]

    def batches(self, rows: Array, rng: np.random.Generator) -> list[Array]:
        """Return the shuffled batches of an epoch; a lone spot joins the batch before it, as it has no variance."""
        if self.window is not None:
            held = self.together(rows)
            return [held[index] for index in rng.permutation(len(held))]
        shuffled = rng.permutation(rows)
        starts = list(range(0, len(shuffled), self.batch))
        if len(starts) > 1 and len(shuffled) - starts[-1] == 1:
            starts.pop()
        return np.split(shuffled, starts[1:])


@dataclass(frozen=True, slots=True)
class Outline:
    """What a network's size depends on, beside its options.

    Parameters
    ----------
    inputs
        Columns of features; 0 without.
    genes
        Numbers to answer.
    """

    inputs: int
    genes: int


class Deep(Model):
    """A system's configuration: a frozen dataclass with the field ``epochs`` and these methods."""

    __slots__ = ()

    card: ClassVar[ModelCard]

    @property
    def needs(self) -> Needs:
        """What must be prepared."""
        raise NotImplementedError

    @property
    def schedule(self) -> Schedule:
        """How long and how fast to learn."""
        raise NotImplementedError

    @property
    def grouping(self) -> Grouping:
        """Which places are seen together."""
        raise NotImplementedError

    @property
    def scaling(self) -> Literal["none", "unit"]:
        """Whether the network answers expression, or its share of each gene's range."""
        return "none"

    @property
    def scales_features(self) -> bool:
        """Whether features are brought to mean 0 and deviation 1, as measured on the spots fitted."""
        return True

    @property
    def on_array(self) -> bool:
        """Whether the network is told of positions on the platform's array, which places without one cannot have."""
        return False

    @property
    def held_back(self) -> float:
        """Share of the spots kept back for early stopping."""
        return 0.0

    def network(self, outline: Outline) -> Module:
        """Return the untrained network."""
        raise NotImplementedError

    def prepare(self, network: Module, sight: Sight, wanted: Float[np.ndarray, "n g"]) -> str:
        """Start the network from what is fitted, or from weights; return what to tell about it, or nothing."""
        return ""

    def loss(self, network: Module, seen: Tensors, wanted: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error."""
        import torch

        return torch.nn.functional.mse_loss(network(seen), wanted)

    def answer(self, network: Module, seen: Tensors) -> torch.Tensor:
        """Return what the trained network says."""
        answers: torch.Tensor = network(seen)
        return answers

    def look(self, frame: Frame, inputs: Inputs) -> Sight:
        """Return what the network is told of places.

        Raises
        ------
        UsageError
            When the image is missing, or a position on the array.
        """
        sight = frame.look(inputs, self.needs)
        if self.on_array and not np.isfinite(sight.place).all():
            raise UsageError(
                f"'{self.card.name}' reads positions on the array, which these places lack. Choose another model."
            )
        return sight

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> DeepPredictor:
        """Train the network.

        Raises
        ------
        UsageError
            For fewer than 4 spots, places the network cannot be told of, or windows that memory has no room for.
        DataError
            When the loss is not finite.
        """
        if len(samples) < _FEWEST:
            raise UsageError(f"Expected at least {_FEWEST} spots to fit, got {len(samples)}.")
        frame = Frame.of(samples.inputs, self.needs, standardise=self.scales_features)
        sight = self.look(frame, samples.inputs)
        scale = _Scale.of(samples.expression, self.scaling)
        wanted = scale.encode(samples.expression)
        seed_everything(seed)
        outline = Outline(0 if sight.features is None else sight.features.shape[1], wanted.shape[1])
        network = self.network(outline).to(runtime.device)
        remark = self.prepare(network, sight, wanted)
        lesson = _Lesson.of(self, network, sight, wanted, seed, runtime.device)
        if self.needs.patch_px is not None and self.grouping.window is None:
            refuse_too_large(
                network, lesson.trial, min(self.grouping.batch, len(lesson.learnt)), runtime.device
            )
        course = train(lesson, self.schedule, seed=seed, runtime=runtime)
        summary = {
            "epochs": len(course.training),
            "best_epoch": course.best_epoch,
            "loss_training": list(course.training),
            "loss_validation": list(course.validation),
            "inputs": outline.inputs,
            "parameters": sum(value.numel() for value in network.parameters()),
            "seed": seed,
        }
        summary |= {"initialisation": remark} if remark else {}
        return DeepPredictor(self, samples.genes, network, frame, scale, summary, runtime.device)

    def restore(self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]) -> DeepPredictor:
        """Rebuild the predictor, on the CPU."""
        import torch

        from histosge.models.scaling import Columns

        columns = None
        if "columns.mean" in arrays:
            columns = Columns(arrays["columns.mean"], arrays["columns.scale"])
        x, y, pitch_um = arrays["frame"]
        frame = Frame(np.array([x, y]), float(pitch_um), columns)
        scale = _Scale(arrays["scale.low"], arrays["scale.extent"])
        network = self.network(Outline(int(summary["inputs"]), len(genes)))
        network.load_state_dict(
            {
                name.removeprefix("network."): torch.from_numpy(np.array(value))
                for name, value in arrays.items()
                if name.startswith("network.")
            }
        )
        network.eval()
        return DeepPredictor(self, np.asarray(genes, dtype=str), network, frame, scale, summary)


@dataclass(frozen=True, slots=True, eq=False)
class _Scale:
    """Expression brought to [0, 1] gene by gene, or left as it is."""

    low: Float[np.ndarray, " g"]
    extent: Float[np.ndarray, " g"]

    @classmethod
    def of(cls, expression: Array, kind: str) -> _Scale:
        genes = expression.shape[1]
        if kind == "none":
            return cls(np.zeros(genes), np.ones(genes))
        extent = np.ptp(expression, axis=0)
        return cls(expression.min(axis=0), np.where(extent > 0, extent, 1.0))

    def encode(self, expression: Array) -> Array:
        return np.asarray((expression - self.low) / self.extent, dtype=np.float32)

    def decode(self, answers: Array) -> Array:
        return np.asarray(answers * self.extent + self.low, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Lesson:
    """The training task: see :class:`histosge.models.deep.training.Task`."""

    model: Deep
    network: Module
    sight: Sight
    wanted: torch.Tensor
    learnt: Array
    kept_back: Array

    @classmethod
    def of(cls, model: Deep, network: Module, sight: Sight, wanted: Array, seed: int, device: str) -> _Lesson:
        import torch

        order = np.random.default_rng([seed, len(sight)]).permutation(len(sight))
        back = min(max(round(model.held_back * len(sight)), 2), len(sight) - 2) if model.held_back else 0
        target = torch.as_tensor(wanted, device=device)
        return cls(model, network, sight, target, np.sort(order[back:]), np.sort(order[:back]))

    def batches(self, rng: np.random.Generator) -> Iterator[Array]:
        """Yield rows."""
        yield from self.model.grouping.batches(self.learnt, rng)

    def loss(self, batch: Array) -> torch.Tensor:
        """Return the system's own loss."""
        return self.model.loss(self.network, *self._at(batch))

    def trial(self, network: Module, windows: int) -> torch.Tensor:
        """Return the loss of another network on some windows, to see what it takes."""
        return self.model.loss(network, *self._at(self.learnt[:windows]))

    def validation(self) -> float | None:
        """Return the mean squared error at the spots kept back."""
        if not len(self.kept_back):
            return None
        total = 0.0
        for start in range(0, len(self.kept_back), _ROWS_PATCHES):
            rows = self.kept_back[start : start + _ROWS_PATCHES]
            seen, wanted = self._at(rows)
            total += float(((self.model.answer(self.network, seen) - wanted) ** 2).mean()) * len(rows)
        return total / len(self.kept_back)

    def _at(self, rows: Array) -> tuple[Tensors, torch.Tensor]:
        import torch

        device = str(self.wanted.device)
        return self.sight.tensors(rows, device), self.wanted[torch.as_tensor(rows, device=device)]


@dataclass(frozen=True, slots=True, eq=False)
class DeepPredictor:
    """A trained network; see :class:`histosge.models.base.Predictor`."""

    model: Deep
    genes: Array
    network: Module
    frame: Frame
    scale: _Scale
    learnt: Mapping[str, Any]
    device: str = "cpu"

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict some places, or a window, at a time; values below 0 are cut."""
        import torch

        for rows in self._together(len(inputs)):
            sight = self.model.look(self.frame, inputs.take(rows))
            seen = sight.tensors(np.arange(len(rows)), self.device)
            with torch.no_grad():
                answers = self.model.answer(self.network, seen)
            yield rows, np.maximum(self.scale.decode(answers.float().cpu().numpy()), 0), None

    def arrays(self) -> dict[str, Array]:
        """Return weights and scales."""
        held = {f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}
        return held | self.frame.arrays() | {"scale.low": self.scale.low, "scale.extent": self.scale.extent}

    def summary(self) -> dict[str, Any]:
        """Return loss curve, epochs and the number of parameters."""
        return dict(self.learnt)

    def _together(self, number: int) -> Iterator[Array]:
        rows = np.arange(number)
        if self.model.grouping.window is not None:
            yield from self.model.grouping.together(rows)
            return
        step = _ROWS_FEATURES if self.model.needs.patch_px is None else _ROWS_PATCHES
        for start in range(0, number, step):
            yield rows[start : start + step]
