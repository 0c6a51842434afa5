"""How places become the numbers a network is told: one way, learnt while fitting and used ever after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.geometry.spacing import median_spacing_um
from histosge.models.scaling import Columns
from histosge.section.inputs import Inputs

if TYPE_CHECKING:
    from .histosge import HisToSGE

__all__ = ["Numbers", "Reading"]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Places as a network is told of them.

    Parameters
    ----------
    features
        Encoder features, and position and colour where they are joined.
    place
        What the positional encoding reads: array (column, row), or pitches.
    xy
        Positions in pitches, from the middle of the spots fitted.
    """

    features: Float[np.ndarray, "n d"]
    place: Float[np.ndarray, "n 2"]
    xy: Float[np.ndarray, "n 2"]

    def __len__(self) -> int:
        return len(self.xy)

    def take(self, rows: Array) -> Numbers:
        """Return those at ``rows``."""
        return Numbers(self.features[rows], self.place[rows], self.xy[rows])

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {"memory.features": self.features, "memory.place": self.place, "memory.xy": self.xy}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Numbers:
        """Return what :meth:`arrays` was made of."""
        return cls(arrays["memory.features"], arrays["memory.place"], arrays["memory.xy"])


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What is read at a place, and in which units.

    Parameters
    ----------
    model
        Says which parts are joined and what positions are read as.
    middle_um
        Middle of the spots fitted.
    pitch_um
        Median distance between nearest spots fitted.
    columns
        Scales of the features; ``None`` leaves them.
    """

    model: HisToSGE
    middle_um: Float[np.ndarray, " 2"]
    pitch_um: float
    columns: Columns | None = None

    @classmethod
    def of(cls, model: HisToSGE, inputs: Inputs) -> tuple[Reading, Numbers]:
        """Learn the units from the spots fitted; return them and the spots read in them."""
        xy_um = inputs.separated_xy_um
        pitch_um = median_spacing_um(xy_um)
        plain = cls(model, xy_um.mean(axis=0), pitch_um)
        numbers = plain.numbers(inputs)
        if not model.standardise:
            return plain, numbers
        learnt = cls(model, plain.middle_um, pitch_um, Columns.of(numbers.features))
        return learnt, learnt.numbers(inputs)

    def numbers(self, inputs: Inputs) -> Numbers:
        """Read places.

        Raises
        ------
        UsageError
            When features or colour are missing, or tables are asked for places without an array position.
        """
        model = self.model
        if inputs.features is None or (model.join_colour and inputs.colour is None):
            raise UsageError(
                "HisToSGE reads features of the tissue image, and got none. Give the image with --image."
            )
        xy = (inputs.separated_xy_um - self.middle_um) / self.pitch_um
        tabled = model.position in ("tables", "interpolated")
        place = np.asarray(inputs.locations.lattice_xy if tabled else xy, dtype=np.float32)
        if not np.isfinite(place).all():
            raise UsageError(
                f"position='{model.position}' needs spots on an array, which these are not. Use --preset corrected, or "
                "--set position=fourier."
            )
        parts = [inputs.features[np.arange(len(inputs))]]
        parts += [xy] if model.join_position else []
        parts += [inputs.colour] if model.join_colour and inputs.colour is not None else []
        joined = np.concatenate(parts, axis=1)
        features = joined.astype(np.float32) if self.columns is None else self.columns.apply(joined)
        return Numbers(features, place, xy.astype(np.float32))

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        held = {"reading.frame": np.append(self.middle_um, self.pitch_um)}
        if self.columns is None:
            return held
        return held | {"reading.mean": self.columns.mean, "reading.scale": self.columns.scale}

    @classmethod
    def from_arrays(cls, model: HisToSGE, arrays: Mapping[str, Array]) -> Reading:
        """Return what :meth:`arrays` was made of."""
        x, y, pitch_um = arrays["reading.frame"]
        columns = None
        if "reading.mean" in arrays:
            columns = Columns(arrays["reading.mean"], arrays["reading.scale"])
        return cls(model, np.array([x, y]), float(pitch_um), columns)
