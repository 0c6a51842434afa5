"""The command ``nuclei``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .command import command
from .options import ReadOptions, ReplyOptions, SectionOptions
from .screen import Progress, print_result

if TYPE_CHECKING:
    from histosge.segmentation.cells import Cells

__all__ = ["nuclei"]

_CELLS = "Cells"


@command("Predict", order=2)
def nuclei(
    section_options: SectionOptions,
    read_options: ReadOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    segmenter: Annotated[
        str,
        typer.Option(
            metavar="NAME[=WEIGHTS]",
            help="What finds nuclei: see `histosge list segmenters`.",
            rich_help_panel=_CELLS,
        ),
    ] = "nuclei",
    growth_um: Annotated[
        float,
        typer.Option(help="How far a cell reaches beyond its nucleus, µm.", rich_help_panel=_CELLS),
    ] = 5.0,
    out: Annotated[Path, typer.Option(help="GeoJSON for the cells.", rich_help_panel="Output")] = Path(
        "cells.geojson"
    ),
) -> None:
    """Find nuclei in the H&E image, grow them to cells, measure each, and write GeoJSON for QuPath."""
    from histosge.errors import UsageError
    from histosge.io.cells_geojson import write_cells
    from histosge.io.own_files import refuse_foreign, refuse_inputs
    from histosge.section.target import tissue_of
    from histosge.segmentation.measure import measure
    from histosge.segmentation.nuclei import find_cells

    # before minutes of work, not after
    refuse_inputs([out], [section_options.section, read_options.image])
    refuse_foreign(out)
    section = read_options.read(section_options.section)
    if section.slide is None:
        raise UsageError(
            f"Expected an image of '{section.name}', got none. Give the full-resolution scan as `image`."
        )
    mask = tissue_of(section)
    cells = find_cells(section.slide, segmenter=segmenter, mask=mask, growth_um=growth_um, progress=progress)
    table = measure(cells, section.slide, mask=mask)
    write_cells(out, cells, table, mpp=section.mpp, name=section.name)
    record = {"file": str(out), **_summary(cells, float(mask.mask.sum() * mask.mpp**2 / 1e6))}
    lines = [
        f"{len(cells)} cells on {record['tissue_mm2']} mm² of tissue: {record['cells_per_mm2']} per mm²",
        f"  median area of a nucleus {record['median_nucleus_um2']} µm², of a cell {record['median_cell_um2']} µm²",
        f"  {out}",
    ]
    print_result(record, as_json=reply_options.json, lines=lines)


def _summary(cells: Cells, tissue_mm2: float) -> dict[str, Any]:
    """Return how many cells there are, and how large they are."""
    import numpy as np
    import shapely

    return {
        "segmenter": cells.source,
        "cells": len(cells),
        "tissue_mm2": round(tissue_mm2, 2),
        "cells_per_mm2": round(len(cells) / tissue_mm2),
        "median_nucleus_um2": round(float(np.median(shapely.area(cells.nuclei))), 2),
        "median_cell_um2": round(float(np.median(cells.area_um2)), 2),
    }
