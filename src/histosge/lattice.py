"""The platform's lattice of spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ._types import Float

__all__ = ["Lattice"]


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """An affine lattice in µm."""

    kind: Literal["hexagonal", "square", "oblique"]
    origin_um: Float[np.ndarray, 2]
    step_um: Float[np.ndarray, "2 2"]
    basis: Float[np.ndarray, "2 2"]
    residual_um: float = 0.0

    @property
    def pitch_um(self) -> float:
        """Distance between neighbours in µm."""
        return float(np.linalg.norm(self.basis @ self.step_um, axis=1).mean())
