"""The command line's options of where to predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

__all__ = ["LocationOptions"]


@dataclass(frozen=True, slots=True)
class LocationOptions:
    """Where to predict."""

    panel: ClassVar[str] = "Locations"

    upsample: Annotated[
        int | None,
        typer.Option(
            "--upsample",
            "--refine",
            help="Locations per measured spot, 1 to 8 (default 4; of more than 100 000 spots 1).",
        ),
    ] = None
    spacing_um: Annotated[
        float | None, typer.Option(help="A grid of this spacing over the tissue (default for an image: 100).")
    ] = None
    regions: Annotated[
        Path | None, typer.Option(help="Polygons (QuPath GeoJSON) to keep the grid inside of.")
    ] = None
    cells: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH|SEGMENTER",
            help="Cells to predict at: a file or folder of `histosge list cell-sources`, or `nuclei`, which finds them "
            "in the image (`histosge list segmenters`).",
        ),
    ] = None
    boundary: Annotated[
        str, typer.Option(help="Boundary handling of an upsampled lattice: translate, symmetric or inner.")
    ] = "translate"

    reach_um: Annotated[
        float | None,
        typer.Option(
            help="How far beyond the spots a grid reaches, µm (default one pitch; inf: all tissue)."
        ),
    ] = None

    def target(self, section: Any) -> Any:
        """Return where to predict in a section."""
        from histosge.section.target import Target, default_target

        upsample, spacing_um = self.upsample, self.spacing_um
        if (upsample, spacing_um, self.cells, self.regions) == (None, None, None, None):
            default = default_target(section)
            upsample, spacing_um = default.upsample, default.spacing_um
        return Target(upsample, spacing_um, self.regions, self.cells, self.boundary, reach_um=self.reach_um)
