"""Where a user wants expression, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from histosge.errors import UsageError
from histosge.geometry import polygons
from histosge.images.tissue import TissueMask

from . import locations
from .image_only import tissue_in
from .locations import Locations
from .section import Section

__all__ = ["Target", "locate", "tissue_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """Exactly one of: a refinement of the spots' lattice, a grid, a grid inside polygons, cells.

    Parameters
    ----------
    upsample
        Places per measured spot, 1 (the spots alone) to 8.
    spacing_um
        Distance of grid points, µm; over the whole tissue, or inside ``regions``.
    regions
        GeoJSON of polygons as QuPath exports them.
    cells
        GeoJSON or CSV of cells; expression is predicted at their centroids.
    boundary
        How a refinement ends at the tissue's edge: ``translate`` (the paper's: exactly N places a spot),
        ``symmetric`` or ``inner``.
    table
        Offsets of a refinement: ``sd`` (as far apart as can be) or ``paper_literal``.
    """

    upsample: int | None = None
    spacing_um: float | None = None
    regions: Path | None = None
    cells: Path | None = None
    boundary: str = "translate"
    table: str = "spread"

    def __post_init__(self) -> None:
        ways = [self.upsample is not None, self.spacing_um is not None, self.cells is not None]
        if sum(ways) != 1:
            raise UsageError(
                f"Expected exactly one of --upsample, --spacing-um and --cells; got {sum(ways)} of them."
            )
        if self.regions is not None and self.spacing_um is None:
            raise UsageError("--regions needs --spacing-um: the distance of the points inside the polygons.")
        if self.spacing_um is not None and not self.spacing_um > 0:
            raise UsageError(
                f"`spacing_um` must be positive, got {self.spacing_um:g}. A Visium pitch is 100; try 25."
            )

    @property
    def label(self) -> str:
        """A short name for figures: ``×4``, ``every 25 µm``, ``cells``."""
        if self.upsample is not None:
            return f"×{self.upsample}"
        return "cells" if self.spacing_um is None else f"every {self.spacing_um:g} µm"


def tissue_of(section: Section) -> TissueMask:
    """Return the tissue in the image, or, without image, the surroundings of the spots."""
    if section.slide is None:
        return TissueMask.from_points(section.spots, section.pitch_um)
    if not section.measured:
        return tissue_in(section.slide)
    return TissueMask.from_slide(section.slide)


def locate(section: Section, target: Target, mask: TissueMask) -> Locations:
    """Return the places of ``target`` in ``section``.

    Raises
    ------
    UsageError
        When the target cannot be met: a refinement of a section without lattice, polygons off the image.
    """
    if target.cells is not None:
        ids, centroids_um = polygons.read_cells(target.cells, section.mpp)
        return locations.cells(section, centroids_um, ids)
    if target.spacing_um is None:
        fold = 1 if target.upsample is None else target.upsample
        return locations.upsampled(section, fold, boundary=target.boundary, table=target.table, mask=mask)
    if target.regions is None:
        return locations.grid(section, target.spacing_um, mask=mask)
    regions = polygons.read_polygons(target.regions, mpp=section.mpp)
    return locations.within(section, regions, target.spacing_um)
