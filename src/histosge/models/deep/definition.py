"""What distinguishes one deep system from another: options, inputs, network and loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from histosge._runtime.types import Float
from histosge.errors import UsageError
from histosge.models.base import ModelCard, Needs
from histosge.models.scaling import Targets
from histosge.section.inputs import Inputs

from .attended_spots import AttendedSpots
from .batches import Batching
from .inputs import Batch, InputScaling, NetworkInputs
from .training import TrainingConfig

if TYPE_CHECKING:
    import torch

    Module: TypeAlias = Any

__all__ = ["SystemDefinition"]


@dataclass(frozen=True, slots=True)
class SystemDefinition(TrainingConfig):
    """Options, inputs, network and loss of a deep system.

    A system is a frozen dataclass that adds options to :class:`~histosge.models.deep.training.TrainingConfig` and
    overrides what is its own: :meth:`build_network` always, the other methods and properties where it differs.
    """

    card: ClassVar[ModelCard]
    # smallest batch; networks with batch normalisation need the variance of two spots
    min_batch: ClassVar[int] = 2
    # what to do where locations have no lattice position
    without_lattice: ClassVar[str] = "Choose another model."

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)
        if self.batching.window is None and self.batch < self.min_batch:
            raise UsageError(
                f"`batch` must be {self.min_batch} or more, as one spot has no variance; got {self.batch}."
            )
        self.validate()

    def validate(self) -> None:
        """Refuse options that cannot work together; a system's own checks."""

    @property
    def needs(self) -> Needs:
        """What must be prepared: by default positions alone."""
        return Needs()

    @property
    def batching(self) -> Batching:
        """Which spots the network receives together."""
        return Batching(self.batch, self.min_batch)

    @property
    def trains_jointly(self) -> bool:
        """Whether the network receives windows of spots that attend to each other."""
        return self.batching.window is not None

    @property
    def joint(self) -> bool:
        """Whether predictions depend on each other: as in training, locations of a window attend to each other."""
        return self.trains_jointly

    @property
    def scales_features(self) -> bool | Literal["auto"]:
        """Whether features get mean 0 and standard deviation 1 over the training spots; see :class:`FeatureSystem`."""
        return True

    @property
    def joins_position(self) -> bool:
        """Whether the position, in pitches, joins the features as two columns."""
        return False

    @property
    def reads_lattice(self) -> bool:
        """Whether the network reads lattice positions, which locations without a lattice do not have."""
        return False

    @property
    def clips_predictions(self) -> bool:
        """Whether negative predictions become 0; published networks without a last activation can return them."""
        return False

    def targets_of(self, expression: Float[np.ndarray, "n g"]) -> Targets:
        """Return what the network outputs in place of expression, and the way back; by default expression itself."""
        return Targets.of(expression, "raw")

    def attended_spots(self, inputs: NetworkInputs, device: str) -> AttendedSpots | None:
        """Return the training spots as spots that locations attend to; ``None`` where they attend to none."""
        return None

    def build_network(self, inputs: int, outputs: int) -> Module:
        """Return the untrained network for so many feature columns and outputs."""
        raise NotImplementedError

    def initialise(self, network: Module, inputs: NetworkInputs, targets: Float[np.ndarray, "n t"]) -> str:
        """Set the first weights where they are not random; return how, for the summary, or an empty text."""
        return ""

    def loss(self, network: Module, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the training loss of a batch: by default the mean squared error."""
        import torch

        return torch.nn.functional.mse_loss(network(batch), targets)

    def outputs(self, network: Module, batch: Batch) -> torch.Tensor:
        """Return the outputs of the trained network, for validation and prediction."""
        outputs: torch.Tensor = network(batch)
        return outputs

    def validated(self, network: Module, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return what the validation loss compares with targets: by default the outputs."""
        return self.outputs(network, batch)

    def validation_loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of outputs at validation spots: by default the mean squared error."""
        squares: torch.Tensor = (outputs - targets) ** 2
        return squares.mean()

    def network_inputs(self, scaling: InputScaling, inputs: Inputs) -> NetworkInputs:
        """Return what the network receives at locations.

        Raises
        ------
        UsageError
            When the image is missing, or a lattice position.
        """
        read = scaling.network_inputs(inputs, self.needs, join_position=self.joins_position)
        if self.reads_lattice and not np.isfinite(read.lattice_xy).all():
            raise UsageError(
                f"'{self.card.name}' reads lattice positions, which these locations do not have. {self.without_lattice}"
            )
        return read
