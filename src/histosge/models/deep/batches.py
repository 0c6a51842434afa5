"""What a network is told of places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array, Float, UInt8
from histosge.errors import UsageError
from histosge.geometry.spacing import median_spacing_um
from histosge.models.base import Needs
from histosge.models.scaling import Columns
from histosge.section.inputs import Inputs

if TYPE_CHECKING:
    import torch

__all__ = ["Frame", "Sight", "Tensors"]


@dataclass(frozen=True, slots=True)
class Tensors:
    """Some places on the device.

    Parameters
    ----------
    place
        Position on the array (column, row), b × 2; NaN where there is none.
    xy
        Position in pitches from the middle of the spots fitted, b × 2.
    features
        Encoder features, b × d.
    patches
        Windows, b × 3 × h × w, values 0 to 255.
    """

    place: torch.Tensor
    xy: torch.Tensor
    features: torch.Tensor | None = None
    patches: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def vectors(self) -> torch.Tensor:
        """The features, for networks that have asked for them."""
        return _given(self.features)

    @property
    def windows(self) -> torch.Tensor:
        """The windows, for networks that have asked for them."""
        return _given(self.patches)

    def seen_as(self, patches: torch.Tensor) -> Tensors:
        """Return the same places with other windows."""
        return replace(self, patches=patches)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """The same, in memory."""

    place: Float[np.ndarray, "n 2"]
    xy: Float[np.ndarray, "n 2"]
    features: Float[np.ndarray, "n d"] | None
    patches: UInt8[np.ndarray, "n h w 3"] | None

    def __len__(self) -> int:
        return len(self.xy)

    def tensors(self, rows: Array, device: str) -> Tensors:
        """Return those at ``rows`` on the device."""
        import torch

        def there(values: Array) -> torch.Tensor:
            return torch.as_tensor(np.array(values[rows], dtype=np.float32), device=device)

        features = None if self.features is None else there(self.features)
        patches = None
        if self.patches is not None:
            windows = torch.as_tensor(np.array(self.patches[rows]), device=device)
            patches = windows.permute(0, 3, 1, 2).float()
        return Tensors(there(self.place), there(self.xy), features, patches)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The units in which places are told, learnt from the spots fitted.

    Parameters
    ----------
    middle_um
        Their middle.
    pitch_um
        Median distance between nearest spots.
    columns
        Scales of the features; ``None`` leaves them, or there are none.
    """

    middle_um: Float[np.ndarray, " 2"]
    pitch_um: float
    columns: Columns | None = None

    @classmethod
    def of(cls, inputs: Inputs, needs: Needs, *, standardise: bool) -> Frame:
        """Learn them."""
        xy_um = inputs.separated_xy_um
        pitch_um = median_spacing_um(xy_um)
        columns = None
        if needs.features and standardise:
            columns = Columns.of(_features(inputs))
        return cls(xy_um.mean(axis=0), pitch_um, columns)

    def look(self, inputs: Inputs, needs: Needs) -> Sight:
        """Read places.

        Raises
        ------
        UsageError
            When the image is missing.
        """
        features = patches = None
        if needs.features:
            read = _features(inputs)
            features = (read if self.columns is None else self.columns.apply(read)).astype(np.float32)
        if needs.patch_px is not None:
            if inputs.patches is None:
                raise UsageError("The model looks at the tissue image, and got none. Give it with --image.")
            patches = np.asarray(inputs.patches[np.arange(len(inputs))])
        xy = (inputs.separated_xy_um - self.middle_um) / self.pitch_um
        place = np.asarray(inputs.locations.lattice_xy, dtype=np.float32)
        return Sight(place, xy.astype(np.float32), features, patches)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        held = {"frame": np.append(self.middle_um, self.pitch_um)}
        if self.columns is None:
            return held
        return held | {"columns.mean": self.columns.mean, "columns.scale": self.columns.scale}


def _given(part: torch.Tensor | None) -> torch.Tensor:
    if part is None:
        raise UsageError("The network was given less than it asked for. Look at the model's `needs`.")
    return part


def _features(inputs: Inputs) -> Array:
    if inputs.features is None:
        raise UsageError(
            "The model reads features of the tissue image, and got none. Give the image with --image."
        )
    return np.asarray(inputs.features[np.arange(len(inputs))])
