"""The locations a user asks for, as one value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from histosge._runtime.messages import emit
from histosge.errors import UsageError
from histosge.geometry import polygons
from histosge.geometry.upsampling import check_offsets
from histosge.images.tissue import TissueMask
from histosge.segmentation.cells import Cells
from histosge.segmentation.nuclei import find_cells
from histosge.segmentation.segmenters import SEGMENTERS
from histosge.segmentation.sources import CellOptions, read_cells

from . import locations
from .image_only import SAMPLING_UM, tissue_in
from .locations import Locations
from .placement import placement_messages
from .section import Section

# an image of nearly this scale is the full-resolution one
_SAME_IMAGE = 0.01

#: spots above which they are predicted themselves by default, and not four locations for each
MANY_SPOTS = 100_000

__all__ = ["MANY_SPOTS", "Target", "cells_of", "default_target", "locate", "tissue_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to predict: exactly one of an upsampled lattice, a grid (over the tissue or inside regions), and cells.

    Parameters
    ----------
    upsample
        Upsampling factor: locations a spot, 1 (the spots alone) to 8.
    spacing_um
        Distance of grid points, µm; over the whole tissue, or inside ``regions``.
    regions
        GeoJSON of polygons as QuPath exports them; needs ``spacing_um``.
    cells
        A file or folder of cells of any layout in ``histosge list cell-sources``, a name of ``histosge list
        segmenters`` (``nuclei``, ``stardist=WEIGHTS``) that finds them in the image (a file of that name is given by
        its full path), or the cells themselves.
    boundary
        How the upsampled lattice ends at the edge of the spots: ``translate`` (as in the paper: exactly ``upsample``
        locations a spot), ``symmetric`` or ``inner``.
    table
        Offsets of the upsampled lattice: ``maximin`` (as far apart as possible), or a published list such as
        ``paper_literal``.
    reach_um
        How far beyond the spots a grid over the tissue reaches, µm; ``inf``: all tissue in the image. ``None``: one
        pitch. What lies further was not measured nearby, and is little known.

    Raises
    ------
    UsageError
        For none or several of ``upsample``, ``spacing_um`` and ``cells``, and for values out of range.

    Examples
    --------
    >>> Target(upsample=4).label
    '×4'
    >>> Target(spacing_um=25).label
    'every 25 µm'
    """

    upsample: int | None = None
    spacing_um: float | None = None
    regions: Path | str | None = None
    cells: Cells | Path | str | None = None
    boundary: str = "translate"
    table: str = "maximin"
    reach_um: float | None = None

    def __post_init__(self) -> None:
        for name in ("regions", "cells"):
            if isinstance(path := getattr(self, name), (str, Path)):
                object.__setattr__(self, name, Path(path))
        chosen = [name for name in ("upsample", "spacing_um", "cells") if getattr(self, name) is not None]
        if self.regions is not None and self.spacing_um is None:
            # a wrong path is to be mended too, and is read only later
            missing = (
                "" if Path(self.regions).exists() else f" There is no file '{self.regions}'; check the path."
            )
            raise UsageError(
                "`regions` needs `spacing_um`: the distance of the points inside the polygons, in µm. A Visium pitch "
                f"is 100; try 25.{missing}"
            )
        if len(chosen) != 1:
            names = " and ".join(f"`{name}`" for name in chosen) or "none"
            raise UsageError(
                f"Expected exactly one of `upsample`, `spacing_um` and `cells`, got {names}. Name one of them."
            )
        for name, default in (("boundary", "translate"), ("table", "maximin")):
            if self.upsample is None and getattr(self, name) != default:
                raise UsageError(
                    f"`{name}` belongs to `upsample`, which is not given. Leave one of them out."
                )
        if self.spacing_um is not None and not self.spacing_um > 0:
            raise UsageError(
                f"`spacing_um` must be positive, got {self.spacing_um:g}. A Visium pitch is 100; try 25."
            )
        if self.reach_um is not None and (self.spacing_um is None or self.regions is not None):
            raise UsageError(
                "`reach_um` needs `spacing_um` without `regions`: the grid that reaches further."
            )
        if self.reach_um is not None and not self.reach_um > 0:
            raise UsageError(f"`reach_um` must be positive, got {self.reach_um:g}.")
        locations.check_boundary(self.boundary)
        check_offsets(1 if self.upsample is None else self.upsample, self.table)

    @property
    def label(self) -> str:
        """A short name for figures: ``×4``, ``every 25 µm``, ``cells``."""
        if self.upsample is not None:
            return f"×{self.upsample}"
        return "cells" if self.spacing_um is None else f"every {self.spacing_um:g} µm"


def default_target(section: Section) -> Target:
    """Return where a section is predicted if nothing else is asked for.

    Four locations a spot; of more than :data:`MANY_SPOTS`, as bins of Visium HD are, the spots themselves, since four
    locations for each would take four times the time and the space; 100 µm apart on an image without spots.
    """
    if section.has_counts or section.lattice is not None:
        return Target(upsample=1 if len(section) > MANY_SPOTS else 4)
    return Target(spacing_um=SAMPLING_UM)


def tissue_of(section: Section) -> TissueMask:
    """Return the tissue in the image and the surroundings of the spots, without pieces in which there is no spot.

    Without image it is the surroundings of the spots; without spots the tissue in the image.
    """
    if section.slide is not None and not section.has_counts:
        return tissue_in(section.slide)
    return TissueMask.of_section(section.slide, section.spots, section.pitch_um)


def locate(section: Section, target: Target, mask: TissueMask) -> Locations:
    """Return the locations of ``target`` in ``section``.

    Raises
    ------
    UsageError
        When the target cannot be met: no lattice to upsample, polygons or cells off the image.
    """
    if target.cells is not None:
        cells = cells_of(section, target.cells, mask=mask)
        result = locations.at_cells(section, cells)
        emit(placement_messages(section, cells.xy_um, mask))
        return result
    if target.upsample is not None:
        return locations.upsampled(
            section, target.upsample, boundary=target.boundary, table=target.table, mask=mask
        )
    spacing_um = target.spacing_um or 0.0
    if target.regions is None and target.reach_um is not None:
        mask = _with_all_tissue(section, mask)
        return locations.grid(section, spacing_um, mask=mask, reach_um=target.reach_um)
    if target.regions is None:
        return locations.grid(section, spacing_um, mask=mask)
    regions = polygons.read_polygons(Path(target.regions), mpp=section.mpp)
    return locations.within(section, regions, spacing_um)


def _with_all_tissue(section: Section, mask: TissueMask) -> TissueMask:
    """Return the mask with the tissue of the image in which there is no spot."""
    if section.slide is None:
        raise UsageError(
            f"`reach_um` goes beyond the spots of '{section.name}', and it has no image that shows tissue there. Give "
            "one as `image`."
        )
    everywhere = tissue_in(section.slide)
    if (everywhere.mask.shape, everywhere.mpp) != (mask.mask.shape, mask.mpp):
        return everywhere
    return replace(mask, mask=mask.mask | everywhere.mask)


def cells_of(section: Section, cells: Cells | Path | str, *, mask: TissueMask | None = None) -> Cells:
    """Return the cells that a user named, in µm of ``section``; not yet checked against its image.

    Parameters
    ----------
    section
        Whose cells they are.
    cells
        The cells, a file of them, or the name of a segmenter that finds them in the image.
    mask
        Where a segmenter searches; by default :func:`tissue_of` the section.

    Raises
    ------
    UsageError, DataError
        When a file holds no cells, is damaged, or has another scale; when the image shows no nuclei.
    """
    if isinstance(cells, Cells):
        return cells
    if str(cells).partition("=")[0] in SEGMENTERS:
        return _segmented(section, str(cells), tissue_of(section) if mask is None else mask)
    slide = section.slide
    options = CellOptions(
        section.mpp,
        image_mpp=_metadata_mpp(section),
        image_px=None if slide is None else (slide.size_um[0] / section.mpp, slide.size_um[1] / section.mpp),
        # the size of a smaller copy is rounded to its own pixels
        tolerance_px=1.0 if slide is None else max(1.0, slide.mpp / section.mpp),
    )
    return read_cells(cells, options)


def _segmented(section: Section, segmenter: str, mask: TissueMask) -> Cells:
    """Return the cells that a segmenter finds in the section's image."""
    if section.slide is None:
        raise UsageError(
            f"`cells` of '{segmenter}' are found in the image, and the section has none. Give the full-resolution scan "
            "as `image`."
        )
    return find_cells(section.slide, segmenter=segmenter, mask=mask)


def _metadata_mpp(section: Section) -> float | None:
    """Return µm per full-resolution pixel by the image's own metadata, as other programs use it."""
    slide = section.slide
    # of a smaller copy (hires, lowres) the metadata say nothing about full-resolution pixels
    if slide is None or abs(slide.mpp / section.mpp - 1) > _SAME_IMAGE:
        return None
    return slide.backend.mpp
