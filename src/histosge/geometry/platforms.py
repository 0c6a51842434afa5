"""Spatial-transcriptomics platforms as data: pitch, spot size, lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LEGACY_ST", "SYNTHETIC", "VISIUM", "VISIUM_HD_CELLS", "Platform", "visium_hd"]


@dataclass(frozen=True, slots=True)
class Platform:
    """How a platform lays out its spots.

    Parameters
    ----------
    name
        ``"visium"``, ``"visium_hd_016um"``, ``"legacy_st"``, ``"unknown"`` …
    pitch_um
        Distance between neighbouring spots in µm; ``None`` where the platform does not fix it (cells).
    diameter_um
        Diameter of a spot in µm (for a square bin that of the disk of equal area); ``None`` where unknown.
    lattice
        How spots are arranged.
    """

    name: str
    pitch_um: float | None
    diameter_um: float | None
    lattice: Literal["hexagonal", "square", "irregular"]


# 10x Genomics: 55 µm spots, 100 µm apart, in a hexagonal arrangement
VISIUM = Platform("visium", 100.0, 55.0, "hexagonal")
# Ståhl et al. 2016: 100 µm spots, 200 µm apart
LEGACY_ST = Platform("legacy_st", 200.0, 100.0, "square")
# cells that Space Ranger 4 outlines in the image; they are where they are
VISIUM_HD_CELLS = Platform("visium_hd_cells", None, None, "irregular")
SYNTHETIC = Platform("synthetic", 100.0, 55.0, "hexagonal")


def visium_hd(bin_um: float) -> Platform:
    """Return the platform of Visium HD bins ``bin_um`` wide: contiguous squares, so pitch = width."""
    return Platform(f"visium_hd_{bin_um:03.0f}um", bin_um, 2 * bin_um / 3.141592653589793**0.5, "square")
