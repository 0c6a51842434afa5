"""The files of a detection: a table, detected tiles for QuPath, and a picture."""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.atomic_files import atomic_path, writable_folder
from histosge.figures.detection_maps import detection_maps
from histosge.figures.png import save_png
from histosge.io.detected_tiles import write_detected_tiles
from histosge.io.own_files import refuse_foreign_outputs, refuse_inputs
from histosge.prediction.detection import Detection
from histosge.section.section import Section

__all__ = ["FILES", "refuse_overwriting", "write_detection"]

#: table, detected tiles, picture
FILES = ("detection.tsv", "detection.geojson", "detection.png")


def refuse_overwriting(out: Path, section: Section) -> None:
    """Refuse a folder in which a result would replace an input, or a file that this program did not write.

    Raises
    ------
    UsageError
        Before anything is computed or written.
    """
    paths = [out / name for name in FILES]
    refuse_inputs(paths, section.sources)
    refuse_foreign_outputs(paths, out)


def write_detection(detection: Detection, section: Section, out: Path) -> list[Path]:
    """Write a row for each gene and tile, the detected tiles as annotations, and maps of the first genes."""
    writable_folder(out)
    table, tiles, picture = (out / name for name in FILES)
    with atomic_path(table) as draft:
        detection.to_frame().to_csv(draft, sep="\t", index=False, float_format="%.6g")
    write_detected_tiles(tiles, section, detection)
    save_png(detection_maps(section, detection), picture)
    return [table, tiles, picture]
