"""HisToSGE (Shi et al. 2024): attention over what the image shows at spots and where they are.

The paper's text and its released code differ, and the code cannot run as released. Every difference is one option
here; the presets ``published``, ``paper`` and ``corrected`` are named sets of them (see ``docs/deviations.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import Crop, Model, ModelCard, Needs, Runtime
from histosge.models.scaling import Targets
from histosge.section.inputs import Samples

from .histosge_inputs import Numbers, Reading
from .histosge_predictor import AttendingPredictor, Tutor, network_of
from .training import Schedule, train
from .windows import Order

__all__ = ["ENTRIES", "HisToSGE"]


@dataclass(frozen=True, slots=True)
class HisToSGE(Model):
    """Configuration; the defaults are the preset ``corrected``.

    Parameters
    ----------
    crop_um, crop_px
        Width of the window the encoder looks at: in µm, or (published: 50) in pixels of whatever image there is.
        Neither: the encoder's own.
    channel_order
        ``"bgr"``: red and blue swapped, as the released code does by reading with OpenCV.
    join_position, join_colour
        Whether position (2 columns) and mean colour (3 columns) join the features: the paper's 1029 columns.
    standardise
        Whether columns are brought to mean 0, deviation 1 on the spots fitted; without it, pixel coordinates in the
        thousands would drown the features.
    width
        Of a token; ``None``: that of the inputs, as published.
    position
        ``"tables"``: learnt, of the integer part of the array position (published; half steps fall onto whole ones).
        ``"interpolated"``: the same, read between entries. ``"fourier"``: continuous. ``"none"``.
    table_size
        Rows of the tables; published 512.
    context
        Whom a place looks at. ``"windows"`` (published): the others of its window, so that a prediction depends on
        what else is asked for. ``"all"`` (paper): all spots fitted. ``"neighbours"``: the nearest spots fitted.
        With the latter two a place's prediction depends on that place alone.
    window_size, window_order
        Of ``"windows"``; see :func:`histosge.models.deep.windows.windows`.
    neighbours
        Of ``"neighbours"``.
    distance_bias
        Whether attention falls off with distance.
    learner
        ``"block"`` (code) or ``"attention"`` alone (paper).
    shared_qkv
        The paper's V = Q = K.
    heads, head_width
        Published 4 and 64.
    hidden
        Width of the gene head; published 2048.
    dropout
        Published 0.
    output
        ``"relu"`` (code): cut at 0 inside the network, where genes die that once fall below. ``"linear"``: as it
        comes. ``"clipped"``: linear while fitting, cut at 0 in predictions.
    targets
        ``"raw"``, ``"centred"`` or ``"standardised"`` expression, per gene.
    factors
        Principal components of the (standardised) expression that the network answers in place of single genes;
        ``None``: every gene. Noise of single genes is not worth learning.
    loss
        ``"mean"`` (code) or ``"sum"`` (paper) of squares; they differ by a factor, which Adam hardly notices.
    batch
        Windows a step; with the other contexts, places a step (paper: 512).
    epochs, learning_rate, weight_decay, decay, patience, clip
        See :class:`histosge.models.deep.training.Schedule`. Published: 1000 epochs of Adam at 0.001.
    validation
        Share of the spots kept back for early stopping; published 0.
    """

    crop_um: float | None = None
    crop_px: int | None = None
    channel_order: Literal["rgb", "bgr"] = "rgb"
    join_position: bool = False
    join_colour: bool = False
    standardise: bool = True
    width: int | None = 64
    position: Literal["tables", "interpolated", "fourier", "none"] = "fourier"
    table_size: int = 512
    context: Literal["windows", "all", "neighbours"] = "neighbours"
    window_size: int = 50
    window_order: Order = "file"
    neighbours: int = 18
    distance_bias: bool = True
    learner: Literal["block", "attention"] = "block"
    shared_qkv: bool = False
    heads: int = 4
    head_width: int = 16
    hidden: int = 128
    dropout: float = 0.4
    output: Literal["relu", "linear", "clipped"] = "clipped"
    targets: Literal["raw", "centred", "standardised"] = "standardised"
    factors: int | None = 30
    loss: Literal["mean", "sum"] = "mean"
    batch: int = 96
    epochs: int = 150
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    decay: Literal["constant", "cosine"] = "cosine"
    patience: int | None = 15
    clip: float | None = 1.0
    validation: float = 0.2

    card: ClassVar[ModelCard] = ModelCard(
        name="histosge",
        summary="Attention over image features and positions (the HisToSGE paper).",
        citation="shi2024histosge",
        uses_position=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {
            "crop_px": 50,
            "channel_order": "bgr",
            "standardise": False,
            "width": None,
            "position": "tables",
            "context": "windows",
            "distance_bias": False,
            "head_width": 64,
            "hidden": 2048,
            "dropout": 0.0,
            "output": "relu",
            "targets": "raw",
            "factors": None,
            "batch": 1,
            "epochs": 1000,
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "decay": "constant",
            "patience": None,
            "clip": None,
            "validation": 0.0,
        },
        "paper": {
            "crop_px": 50,
            "join_position": True,
            "join_colour": True,
            "width": None,
            "position": "tables",
            "context": "all",
            "distance_bias": False,
            "learner": "attention",
            "shared_qkv": True,
            "head_width": 64,
            "hidden": 2048,
            "dropout": 0.0,
            "output": "linear",
            "targets": "raw",
            "factors": None,
            "loss": "sum",
            "batch": 512,
            "epochs": 1000,
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "decay": "constant",
            "patience": None,
            "clip": None,
            "validation": 0.0,
        },
        "corrected": {},
    }
    # what differs between the presets, in the order of docs/deviations.md; fields that mean nothing apart go together
    deviations: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "crop": ("crop_px", "crop_um"),
        "colour order": ("channel_order",),
        "input": ("join_position", "join_colour"),
        "scale of the input": ("standardise",),
        "position": ("position",),
        # a batch counts windows, or places
        "attention": ("context", "distance_bias", "batch"),
        "learner": ("learner", "shared_qkv"),
        "size": ("width", "head_width", "hidden"),
        "dropout": ("dropout",),
        "output": ("output",),
        "target": ("targets", "factors"),
        "loss": ("loss",),
        "optimiser": ("learning_rate", "weight_decay", "decay", "clip"),
        "early stopping": ("validation", "patience"),
        "length": ("epochs",),
    }

    def __post_init__(self) -> None:
        if self.crop_um is not None and self.crop_px is not None:
            raise UsageError("Expected one of `crop_um` and `crop_px`, got both.")
        refuse_nonpositive(
            self, "table_size", "window_size", "neighbours", "heads", "head_width", "hidden", "batch"
        )
        if not (0 <= self.dropout < 1 and 0 <= self.validation < 1):
            raise UsageError(
                f"`dropout` and `validation` must be from 0 to below 1, got {self.dropout} and {self.validation}."
            )
        if self.patience is not None and self.validation == 0:
            raise UsageError(
                "Early stopping needs spots kept back: set `validation` to 0.2, or `patience` to none."
            )
        self.schedule  # noqa: B018  (refuses bad numbers before any work is done)

    @property
    def schedule(self) -> Schedule:
        """How long and how fast to learn."""
        decay = self.weight_decay
        return Schedule(self.epochs, self.learning_rate, decay, self.decay, self.patience, self.clip)

    @property
    def needs(self) -> Needs:
        """Features; the mean colour where it is joined to them."""
        own = self.crop_um is None and self.crop_px is None and self.channel_order == "rgb"
        crop = None if own else Crop(self.crop_um, self.crop_px, self.channel_order)
        return Needs(features=True, colour=self.join_colour, crop=crop)

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> AttendingPredictor:
        """Train the network.

        Raises
        ------
        UsageError
            For fewer than 4 spots, and for tables of positions where spots have none.
        DataError
            When the loss is not finite.
        """
        if len(samples) < 4:
            raise UsageError(f"Expected at least 4 spots to fit, got {len(samples)}.")
        reading, numbers = Reading.of(self, samples.inputs)
        targets = Targets.of(samples.expression, self.targets, self.factors)
        tutor = Tutor.of(self, numbers, targets.encode(samples.expression), seed, runtime.device)
        course = train(tutor, self.schedule, seed=seed, runtime=runtime)
        summary = {
            "epochs": len(course.training),
            "best_epoch": course.best_epoch,
            "loss_training": list(course.training),
            "loss_validation": list(course.validation),
            "inputs": numbers.features.shape[1],
            "parameters": sum(value.numel() for value in tutor.network.parameters()),
            "seed": seed,
        }
        memory = None if self.context == "windows" else numbers
        return AttendingPredictor(
            self, samples.genes, tutor.network, reading, targets, memory, summary, runtime.device
        )

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> AttendingPredictor:
        """Rebuild the predictor, on the CPU."""
        import torch

        targets = Targets(arrays["targets.mean"], arrays["targets.scale"], arrays.get("targets.loadings"))
        memory = None if self.context == "windows" else Numbers.from_arrays(arrays)
        state = {
            name.removeprefix("network."): torch.from_numpy(np.array(value))
            for name, value in arrays.items()
            if name.startswith("network.")
        }
        network = network_of(self, int(summary["inputs"]), targets.width)
        network.load_state_dict(state)
        network.eval()
        reading = Reading.from_arrays(self, arrays)
        return AttendingPredictor(
            self, np.asarray(genes, dtype=str), network, reading, targets, memory, summary
        )


ENTRIES = (HisToSGE,)
