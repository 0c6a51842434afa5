"""HisToSGE (Shi et al. 2024): attention over image features and positions.

The paper's text and its released code differ, and the code cannot run as released. Every difference is one option
here; the presets ``published``, ``paper`` and ``corrected`` are named sets of them (see ``docs/deviations.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Float
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import ModelCard, Needs
from histosge.models.scaling import Targets

from .attended_spots import AttendedSpots
from .batches import Batching, WindowOrder
from .inputs import Batch, NetworkInputs
from .system import FeatureSystem

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "HisToSGE"]


@dataclass(frozen=True, slots=True)
class HisToSGE(FeatureSystem):
    """Configuration; the defaults are the preset ``corrected``.

    Options that are not listed here are those of :class:`~histosge.models.deep.training.TrainingConfig` and
    :class:`~histosge.models.deep.system.FeatureSystem`. Published: 1000 epochs of Adam at 0.001, a patch of 50 pixels
    of the full-resolution image.

    Parameters
    ----------
    join_position, join_colour
        Whether position (2 columns) and mean colour (3 columns) join the features: the paper's 1029 columns.
    width
        Of a token; ``None``: that of the inputs, as published.
    position
        Positional encoding. ``"tables"``: trained, indexed by the integer part of the lattice position (published;
        half steps share the entry of whole ones). ``"interpolated"``: the same, interpolated between entries.
        ``"fourier"``: continuous. ``"none"``.
    table_size
        Rows of the tables; published 512.
    context
        What a location attends to. ``"windows"`` (published): the other spots of its window, so that a prediction
        depends on which other locations are predicted. ``"all"`` (paper): all training spots. ``"neighbours"``: the
        nearest training spots. With the latter two the prediction of a location depends on that location alone.
    window_size, window_order
        Of ``"windows"``; see :func:`histosge.models.deep.batches.windows`.
    neighbours
        Of ``"neighbours"``.
    distance_bias
        Whether attention decreases with distance.
    learner
        ``"block"`` (code) or ``"attention"`` alone (paper).
    shared_qkv
        One projection in place of the three of Eq. (4). In the paper V = Q = K are the inputs of W^Q, W^K and W^V.
    heads, head_width
        Published 4 and 64.
    hidden
        Width of the gene head; published 2048.
    dropout
        Published 0.
    output
        ``"relu"`` (code): cut at 0 inside the network, where a gene that falls below 0 has no gradient any more.
        ``"linear"``: without a bound. ``"clipped"``: linear in training, cut at 0 in predictions.
    targets
        ``"raw"``, ``"centred"`` or ``"standardised"`` expression, per gene.
    factors
        Principal components of the (standardised) expression that the network outputs in place of single genes;
        ``None``: every gene. Few factors keep the noise of single genes out of the training.
    loss_kind
        ``"mean"`` (code) or ``"sum"`` (paper) of squared errors. They differ by a factor, to which Adam is nearly
        invariant.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=6, rows=6, genes=8).section
    >>> recipe = hs.Recipe(model="histosge", genes="all", options={"epochs": 2})
    >>> hs.predict(hs.fit(section, recipe), section, hs.upsampled(section, 2)).mean.shape
    (72, 8)
    """

    crop_px: int | None = None
    join_position: bool = False
    join_colour: bool = False
    width: int | None = 64
    position: Literal["tables", "interpolated", "fourier", "none"] = "fourier"
    table_size: int = 512
    context: Literal["windows", "all", "neighbours"] = "neighbours"
    window_size: int = 50
    window_order: WindowOrder = "file"
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
    loss_kind: Literal["mean", "sum"] = "mean"
    batch: int = 96
    epochs: int = 150
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    schedule: Literal["constant", "cosine"] = "cosine"
    patience: int | None = 15
    clip: float | None = 1.0
    validation: float = 0.2

    card: ClassVar[ModelCard] = ModelCard(
        name="histosge",
        summary="Attention over image features and positions (the HisToSGE paper).",
        citation="shi2024histosge",
        uses_position=True,
        deep=True,
    )
    # layer normalisation needs no second spot
    min_batch: ClassVar[int] = 1
    without_lattice: ClassVar[str] = "Set `position` to 'fourier', or take the preset corrected."
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {
            "crop_px": 50,
            "channel_order": "bgr",
            "standardise": "auto",
            "width": None,
            "position": "tables",
            "context": "windows",
            "window_order": "unordered",
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
            "schedule": "constant",
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
            "head_width": 64,
            "hidden": 2048,
            "dropout": 0.0,
            "output": "linear",
            "targets": "raw",
            "factors": None,
            "loss_kind": "sum",
            "batch": 512,
            "epochs": 1000,
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "schedule": "constant",
            "patience": None,
            "clip": None,
            "validation": 0.0,
        },
        "corrected": {},
    }
    # what differs between the presets, in the order of docs/deviations.md; options that depend on each other are
    # switched together
    deviations: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "crop": ("crop_px", "crop_um"),
        "colour order": ("channel_order",),
        "input": ("join_position", "join_colour"),
        "scale of the input": ("standardise",),
        "position": ("position",),
        # `batch` counts windows, or spots
        "attention": ("context", "distance_bias", "batch"),
        "learner": ("learner",),
        "size": ("width", "head_width", "hidden"),
        "dropout": ("dropout",),
        "output": ("output",),
        "target": ("targets", "factors"),
        "loss": ("loss_kind",),
        "optimiser": ("learning_rate", "weight_decay", "schedule", "clip"),
        "early stopping": ("validation", "patience"),
        "length": ("epochs",),
    }

    def validate(self) -> None:
        """Refuse options that cannot work together."""
        if self.crop_um is not None and self.crop_px is not None:
            raise UsageError("Expected one of `crop_um` and `crop_px`, got both.")
        refuse_nonpositive(self, "table_size", "window_size", "neighbours", "heads", "head_width", "hidden")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"`dropout` must be from 0 to below 1, got {self.dropout}.")

    @property
    def needs(self) -> Needs:
        """Image features; the mean colour where it joins them."""
        return Needs(features=True, colour=self.join_colour, crop=self.crop)

    @property
    def uses_position(self) -> bool:
        """Whether positions are encoded, joined to the features, or decide what a location attends to."""
        encoded = self.position != "none" or self.join_position or self.distance_bias
        return encoded or self.context != "windows" or self.window_order == "spatial"

    @property
    def batching(self) -> Batching:
        """Windows of spots, or independent spots."""
        window = self.window_size if self.context == "windows" else None
        return Batching(self.batch, self.min_batch, window, self.window_order)

    @property
    def joins_position(self) -> bool:
        """The option ``join_position``."""
        return self.join_position

    @property
    def reads_lattice(self) -> bool:
        """Tables are indexed by lattice positions."""
        return self.position in ("tables", "interpolated")

    @property
    def clips_predictions(self) -> bool:
        """Whether the option ``output`` is ``"clipped"``."""
        return self.output == "clipped"

    def targets_of(self, expression: Float[np.ndarray, "n g"]) -> Targets:
        """Return genes or factors, after the options ``targets`` and ``factors``."""
        return Targets.of(expression, self.targets, self.factors)

    def attended_spots(self, inputs: NetworkInputs, device: str) -> AttendedSpots | None:
        """Return all training spots or the nearest; ``None`` inside windows."""
        if self.context == "windows":
            return None
        neighbours = self.neighbours if self.context == "neighbours" else None
        return AttendedSpots.of(inputs, device, neighbours=neighbours)

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from .networks.histosge import HisToSGENetwork, HisToSGEShape

        return HisToSGENetwork(
            HisToSGEShape(
                inputs,
                outputs,
                width=self.width,
                heads=self.heads,
                head_width=self.head_width,
                shared_qkv=self.shared_qkv,
                learner=self.learner,
                hidden=self.hidden,
                relu=self.output == "relu",
                position=self.position,
                table_size=self.table_size,
                distance_bias=self.distance_bias,
                dropout=self.dropout,
            )
        )

    def loss(self, network: Any, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean, or sum, of squared errors."""
        squares: torch.Tensor = (network(batch) - targets) ** 2
        return squares.mean() if self.loss_kind == "mean" else squares.sum()


ENTRIES = (HisToSGE,)
