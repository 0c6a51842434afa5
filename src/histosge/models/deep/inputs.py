"""What a network receives at spots and locations: positions, image features and patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from histosge._runtime.types import Array, Float, Int, UInt8
from histosge.errors import UsageError
from histosge.geometry.spacing import median_spacing_um
from histosge.models.base import Needs
from histosge.models.scaling import Columns, column_variances
from histosge.section.inputs import Inputs

if TYPE_CHECKING:
    import torch

__all__ = ["Attended", "Batch", "InputScaling", "NetworkInputs"]

# standard deviations of features that a network without normalisation can read beside tables drawn from N(0, 1)
_AS_THEY_COME = (0.1, 10.0)


@dataclass(frozen=True, slots=True)
class Attended:
    """The training spots that the locations of a batch attend to.

    Parameters
    ----------
    spots
        Training spots, m of them.
    chosen
        Rows of ``spots`` that each of b locations attends to, b × k; ``None``: every location attends to all.
    hidden
        True where a location must not attend to a spot, b × m; ``None`` hides none.
    distance
        From locations to spots, in pitches, b × k or b × m.
    """

    spots: Batch
    chosen: torch.Tensor | None
    hidden: torch.Tensor | None
    distance: torch.Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Some locations on the device.

    Parameters
    ----------
    lattice_xy
        Position on the lattice (column, row), b × 2; NaN where there is none.
    xy
        Position in pitches from the centre of the training spots, b × 2.
    features
        Image features, b × d.
    patches
        Patches, b × 3 × h × w, values 0 to 255.
    attended
        The training spots attended to; ``None`` where locations attend to each other, or to nothing.
    """

    lattice_xy: torch.Tensor
    xy: torch.Tensor
    features: torch.Tensor | None = None
    patches: torch.Tensor | None = None
    attended: Attended | None = None

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def vectors(self) -> torch.Tensor:
        """The image features of a network whose system needs them."""
        return _required(self.features, "features")

    @property
    def images(self) -> torch.Tensor:
        """The patches of a network whose system needs them."""
        return _required(self.patches, "patches")

    def with_patches(self, patches: torch.Tensor) -> Batch:
        """Return the same locations with other patches."""
        return replace(self, patches=patches)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkInputs:
    """The same as :class:`Batch`, as arrays in memory, with the index of the section of each location."""

    lattice_xy: Float[np.ndarray, "n 2"]
    xy: Float[np.ndarray, "n 2"]
    features: Float[np.ndarray, "n d"] | None = None
    patches: UInt8[np.ndarray, "n h w 3"] | None = None
    sections: Int[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def columns(self) -> int:
        """Number of feature columns; 0 without features."""
        return 0 if self.features is None else self.features.shape[1]

    def batch(self, rows: Array, device: str) -> Batch:
        """Return the locations at ``rows`` on the device."""
        import torch

        def tensor(values: Array) -> torch.Tensor:
            # rows by their numbers are a copy already
            return torch.as_tensor(np.asarray(values[rows], dtype=np.float32), device=device)

        features = None if self.features is None else tensor(self.features)
        patches = None
        if self.patches is not None:
            # 8 bits on the way to the device, a quarter of 32-bit floats
            images = torch.as_tensor(np.array(self.patches[rows]), device=device)
            patches = images.permute(0, 3, 1, 2).float()
        return Batch(tensor(self.lattice_xy), tensor(self.xy), features, patches)

    def arrays(self) -> dict[str, Array]:
        """Return positions and features by name, for a fit on disk."""
        features = {} if self.features is None else {"training.features": self.features}
        return features | {"training.lattice_xy": self.lattice_xy, "training.xy": self.xy}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> NetworkInputs | None:
        """Return what :meth:`arrays` was called on; ``None`` where the fit holds none."""
        if "training.xy" not in arrays:
            return None
        return cls(arrays["training.lattice_xy"], arrays["training.xy"], arrays.get("training.features"))


@dataclass(frozen=True, slots=True, eq=False)
class InputScaling:
    """The units of a network's inputs, measured on the training spots.

    Parameters
    ----------
    centre_um
        Mean position of the training spots.
    pitch_um
        Median distance between nearest training spots.
    columns
        Mean and standard deviation of the features; ``None`` leaves the features as they are.
    """

    centre_um: Float[np.ndarray, " 2"]
    pitch_um: float
    columns: Columns | None = None

    @classmethod
    def of(
        cls, inputs: Inputs, needs: Needs, *, standardise: bool | Literal["auto"], join_position: bool
    ) -> InputScaling:
        """Measure the units on the training spots; ``"auto"`` standardises features that are far from order 1."""
        xy_um = inputs.separated_xy_um
        plain = cls(xy_um.mean(axis=0), median_spacing_um(xy_um))
        if not needs.features or not standardise:
            return plain
        # measured on the joined columns: pixels in the thousands would dominate features near 1
        features = plain.features(inputs, needs, join_position=join_position)
        if standardise == "auto":
            # positions in pitches would hide how small the encoder's own columns are
            width = 0 if inputs.features is None else inputs.features.shape[1]
            deviation = float(np.sqrt(column_variances(features[:, :width]).mean()))
            if _AS_THEY_COME[0] <= deviation <= _AS_THEY_COME[1]:
                return plain
        return replace(plain, columns=Columns.of(features))

    def network_inputs(self, inputs: Inputs, needs: Needs, *, join_position: bool) -> NetworkInputs:
        """Return what the network receives at locations.

        Raises
        ------
        UsageError
            When the model needs the image and there is none.
        """
        patches = None
        if needs.patch_px is not None:
            if inputs.patches is None:
                raise UsageError(
                    "The model reads patches of the tissue image, and got none. Read the section with its `image`."
                )
            patches = np.asarray(inputs.patches[np.arange(len(inputs))])
        features = self.features(inputs, needs, join_position=join_position) if needs.features else None
        # NaN where there is no lattice; the system refuses it where its network reads it
        lattice_xy = np.asarray(inputs.locations.lattice_xy, dtype=np.float32)
        return NetworkInputs(
            lattice_xy, self._xy(inputs).astype(np.float32), features, patches, inputs.sections
        )

    def features(self, inputs: Inputs, needs: Needs, *, join_position: bool) -> Float[np.ndarray, "n d"]:
        """Return image features, with position and mean colour where the model joins them, standardised."""
        if inputs.features is None or (needs.colour and inputs.colour is None):
            raise UsageError(
                "The model reads features of the tissue image, and got none. Read the section with its `image`."
            )
        parts = [np.asarray(inputs.features[:])]
        parts += [self._xy(inputs)] if join_position else []
        parts += [inputs.colour] if needs.colour and inputs.colour is not None else []
        # the paper's 1029 columns: 1024 features, 2 positions, 3 colours
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        if self.columns is not None:
            return self.columns.apply(joined)
        # a copy: a predictor can keep them, and they are the caller's
        return np.array(joined, dtype=np.float32)

    def arrays(self) -> dict[str, Array]:
        """Return the units by name, for a fit on disk."""
        frame = {"inputs.frame": np.append(self.centre_um, self.pitch_um)}
        if self.columns is None:
            return frame
        return frame | {"inputs.mean": self.columns.mean, "inputs.scale": self.columns.scale}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> InputScaling:
        """Return what :meth:`arrays` was called on."""
        x, y, pitch_um = arrays["inputs.frame"]
        columns = None
        if "inputs.mean" in arrays:
            columns = Columns(arrays["inputs.mean"], arrays["inputs.scale"])
        return cls(np.array([x, y]), float(pitch_um), columns)

    def _xy(self, inputs: Inputs) -> Array:
        xy: Array = (inputs.separated_xy_um - self.centre_um) / self.pitch_um
        return xy


def _required(part: torch.Tensor | None, name: str) -> torch.Tensor:
    if part is None:
        raise UsageError(
            f"The network reads {name} that its model does not need. Correct the model's `needs`."
        )
    return part
