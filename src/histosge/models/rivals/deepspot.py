"""DeepSpot (Nonchev et al. 2025): the spot's window, the windows in it and those around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Float
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import ModelCard, Needs, Task, Windows
from histosge.models.deep.system import SpotWindowSystem
from histosge.models.deep.windows import window_features
from histosge.models.scaling import Targets

__all__ = ["DeepSpot"]


@dataclass(frozen=True, slots=True)
class DeepSpot(SpotWindowSystem):
    """Configuration.

    Further options are those of :class:`~histosge.models.deep.system.SpotWindowSystem` and
    :class:`~histosge.models.deep.training.TrainingConfig`.

    The patch is as wide as a spot, unless ``crop_um`` or ``crop_px`` is set; the windows in it are enlarged to what the
    encoder reads. Differs from the original: windows around the spot are those of the image one pitch away,
    whatever is measured there, so that a prediction depends on no other location. The original takes the spots whose
    column and row differ by at most one, which on Visium are four of six (``around="array"``). Training stops after 50
    epochs without a smaller squared error at validation spots, and keeps the epoch of the greatest mean correlation
    there. ``published`` has the original's neighbours and its 15 epochs, without validation spots. It takes all of
    them: the original stops earlier where its training loss gains less than 0.01 in three epochs, which is
    ``stops_by="training", least_gain=0.01, patience=3``.

    Parameters
    ----------
    side
        The spot's window is divided into side × side.
    around
        Number of windows around the spot, one pitch away; ``"array"``: at the neighbours by column and row, eight on a
        square lattice and four on Visium. At the edge of the tissue, where the original has fewer, they are windows of
        the image like all others.
    width
        Of the embedding of a window.
    members
        Networks whose median, and whose mean, is taken.
    dropout, output_dropout
        Share of the embeddings, and of the outputs, that training drops.

    Examples
    --------
    >>> [windows.number for windows in DeepSpot().needs.windows]
    [1, 9, 6]
    """

    side: int = 3
    around: int | Literal["array"] = 6
    width: int = 512
    members: int = 10
    dropout: float = 0.3
    output_dropout: float = 0.1
    learning_rate: float = 1e-4
    weight_decay: float = 1e-6
    batch: int = 1024
    epochs: int = 300
    validation: float = 0.1
    patience: int | None = 50
    # counts are noisy: by the squared error of a tenth of the spots the first epoch, which predicts means, is the best
    criterion: Literal["loss", "correlation"] = "correlation"

    card: ClassVar[ModelCard] = ModelCard(
        "deepspot",
        "Windows in and around a spot, embedded alike and pooled (DeepSpot).",
        "nonchev2025deepspot",
        uses_position=False,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {
            "around": "array",
            "epochs": 15,
            "validation": 0.0,
            "patience": None,
            "criterion": "loss",
            "standardise": "auto",
        },
    }

    def validate(self) -> None:
        """Refuse sizes below 1, and shares of units dropped that are not below 1."""
        around = () if self.around == "array" else ("around",)
        refuse_nonpositive(self, "crop_diameters", "side", *around, "width", "members")
        for name in ("dropout", "output_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be from 0 to below 1, got {getattr(self, name)}.")

    @property
    def needs(self) -> Needs:
        """Image features of the spot's window, of the windows in it and of those around it."""
        windows = (Windows(), Windows.grid(self.side, share=1 / self.side), self._around)
        return Needs(features=True, crop=self.crop, windows=windows)

    @property
    def _around(self) -> Windows:
        return Windows.array() if isinstance(self.around, str) else Windows.ring(self.around)

    def reason_against(self, task: Task) -> str:
        """Leave out bins and cells: the sum over the windows in a spot has no meaning for a part of it."""
        if task != "finer":
            return ""
        return "'deepspot' predicts whole spots: it sums over windows in a spot, which bins and cells do not have."

    def targets_of(self, expression: Float[np.ndarray, "n g"]) -> Targets:
        """Return expression standardised gene by gene."""
        return Targets.of(expression, "standardised")

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.deepspot import DeepSpotNetwork

        return DeepSpotNetwork(
            window_features(self.needs, inputs),
            outputs,
            parts=self.side**2,
            around=self._around.number,
            width=self.width,
            members=self.members,
            dropout=self.dropout,
            output_dropout=self.output_dropout,
        )


ENTRIES = (DeepSpot,)
