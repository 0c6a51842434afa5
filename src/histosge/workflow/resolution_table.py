"""The files of effective resolutions in a folder: a table of the genes, and maps of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from histosge._runtime.atomic_files import atomic_path, writable_folder
from histosge.figures.png import save_png
from histosge.figures.resolution_maps import resolution_maps
from histosge.io.own_files import refuse_foreign_outputs, refuse_inputs
from histosge.prediction.effective_resolution import EffectiveResolution
from histosge.section.locations import Locations, grid
from histosge.section.section import Section

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["mapped_locations", "refuse_overwriting", "write_maps", "write_table"]

_TABLE, _MAPS, _PICTURE = (
    "effective_resolution.tsv",
    "effective_resolution_maps.tsv",
    "effective_resolution.png",
)
# locations of a map: about so many, at least half a pitch apart
_MAPPED, _LEAST_PITCHES = 1000, 0.5


def refuse_overwriting(out: Path, section: Section) -> None:
    """Refuse a folder in which a file would replace an input, or a file that this program did not write.

    Raises
    ------
    UsageError
        Before anything is computed or written.
    """
    paths = [out / name for name in (_TABLE, _MAPS, _PICTURE)]
    refuse_inputs(paths, section.sources)
    refuse_foreign_outputs(paths, out)


def write_table(result: EffectiveResolution, out: Path) -> Path:
    """Write a row for each gene: its effective resolution in µm, and its reliability by width."""
    return _written(result.to_frame(), out / _TABLE)


def mapped_locations(section: Section) -> Locations:
    """Return about a thousand locations all over the tissue, for maps."""
    return grid(section, section.pitch_um * max(_LEAST_PITCHES, (len(section) / _MAPPED) ** 0.5))


def write_maps(
    result: EffectiveResolution, out: Path, *, section: Section, genes: Sequence[str]
) -> list[Path]:
    """Write the effective resolution of some genes at each location, in µm, as a table and as a picture.

    The table has the columns ``location``, ``x_um``, ``y_um`` and one a gene: ``inf`` where no width is wide enough,
    ``unknown`` where nothing can be said.
    """
    import pandas as pd

    points = result.locations.points
    columns = {"location": points.ids, "x_um": points.xy[:, 0], "y_um": points.xy[:, 1]}
    frame = pd.DataFrame(columns | {gene: result.map_um(gene) for gene in genes})
    table = _written(frame, out / _MAPS)
    return [table, save_png(resolution_maps(section, result, genes), out / _PICTURE)]


def _written(frame: pd.DataFrame, path: Path) -> Path:
    writable_folder(path.parent)
    with atomic_path(path) as draft:
        frame.to_csv(draft, sep="\t", index=False, float_format="%.6g", na_rep="unknown")
    return path
