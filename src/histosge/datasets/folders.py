"""Write sections in the layouts of Space Ranger and legacy ST."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.section.section import Section

__all__ = ["write_legacy_st", "write_spaceranger"]

_HIRES_PX, _LOWRES_PX = 2000, 600
_MATRIX, _SPATIAL = "filtered_feature_bc_matrix.h5", "spatial"
# an attribute of the matrix by which a folder is known to be written here: it may be replaced, measured data may not
_CREATOR = "histosge"


def write_spaceranger(section: Section, folder: Path) -> Path:
    """Write a section as the folder that Space Ranger 2 and later leave: matrix, positions, scale factors, images.

    Raises
    ------
    UsageError
        For a section without lattice, a path that cannot be written, or a folder with other content.
    """
    if section.lattice is None:
        raise UsageError(f"Section '{section.name}' has no lattice, which Space Ranger's layout requires.")
    with atomic_path(folder, own=_is_own) as draft:
        spatial = draft / _SPATIAL
        spatial.mkdir(parents=True)
        _write_matrix(section, draft / _MATRIX)
        lines = ["barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres"]
        xy_px = section.spots.xy / section.mpp
        for barcode, (column, row), (x, y) in zip(section.spots.ids, section.lattice_xy, xy_px, strict=True):
            lines.append(f"{barcode},1,{row:.0f},{column:.0f},{y:.0f},{x:.0f}")
        (spatial / "tissue_positions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        factors = {
            "spot_diameter_fullres": section.spots.diameter_um / section.mpp,
            "fiducial_diameter_fullres": 0.0,
        }
        for kind, longest_px in (("hires", _HIRES_PX), ("lowres", _LOWRES_PX)):
            factors[f"tissue_{kind}_scalef"] = _write_image(
                section, spatial / f"tissue_{kind}_image.png", longest_px
            )
        (spatial / "scalefactors_json.json").write_text(json.dumps(factors), encoding="utf-8")
    return folder


def write_legacy_st(section: Section, folder: Path) -> Path:
    """Write a section as a legacy ST folder: tables of counts and spots, and the image, whose pixels they refer to.

    Raises
    ------
    UsageError
        For a section without image, or a path that cannot be written.
    """
    import pandas as pd

    if section.slide is None:
        raise UsageError(f"Section '{section.name}' has no image, which a legacy ST folder refers to.")
    with atomic_path(folder) as draft:
        draft.mkdir(parents=True)
        names = [f"{column:.0f}x{row:.0f}" for column, row in section.lattice_xy]
        counts = pd.DataFrame(section.counts.toarray().astype(int), index=names, columns=section.genes)
        counts.to_csv(draft / "counts.tsv.gz", sep="\t", compression={"method": "gzip", "mtime": 0})
        xy_px = section.spots.xy / section.slide.mpp
        columns = {"x": section.lattice_xy[:, 0].astype(int), "y": section.lattice_xy[:, 1].astype(int)}
        columns |= {"new_x": section.lattice_xy[:, 0], "new_y": section.lattice_xy[:, 1]}
        columns |= {
            "pixel_x": xy_px[:, 0],
            "pixel_y": xy_px[:, 1],
            "selected": np.ones(len(section), dtype=int),
        }
        pd.DataFrame(columns).to_csv(draft / "spots.tsv", sep="\t", index=False)
        _save(section.slide.thumbnail(section.slide.mpp), draft / "image.png")
    return folder


def _is_own(folder: Path) -> bool:
    """Return whether a folder was written by :func:`write_spaceranger`, and nothing was added."""
    import h5py

    if {entry.name for entry in folder.iterdir()} != {_MATRIX, _SPATIAL}:
        return False
    try:
        with h5py.File(folder / _MATRIX) as file:
            return bool(file.attrs.get("creator") == _CREATOR)
    except OSError:
        return False


def _write_matrix(section: Section, path: Path) -> None:
    """Write Space Ranger's HDF5 layout: genes by barcodes, in columns."""
    import h5py

    with h5py.File(path, "w") as file:
        # scanpy names the section after the first library
        file.attrs["library_ids"] = np.array([section.name], dtype="S")
        file.attrs["filetype"] = "matrix"
        file.attrs["creator"] = _CREATOR
        group = file.create_group("matrix")
        group["data"] = section.counts.data.astype(np.int32)
        group["indices"] = section.counts.indices.astype(np.int64)
        group["indptr"] = section.counts.indptr.astype(np.int64)
        group["shape"] = np.array(section.counts.shape[::-1], dtype=np.int32)
        group["barcodes"] = section.spots.ids.astype("S")
        features = group.create_group("features")
        features["id"], features["name"] = section.gene_ids.astype("S"), section.genes.astype("S")
        features["feature_type"] = np.full(len(section.genes), b"Gene Expression")
        features["genome"] = np.full(len(section.genes), b"synthetic")


def _write_image(section: Section, path: Path, longest_px: int) -> float:
    """Write the image, not larger than asked; return its pixels per full-resolution pixel."""
    if section.slide is None:
        return 1.0
    mpp = max(section.slide.mpp, max(section.slide.size_um) / longest_px)
    _save(section.slide.thumbnail(mpp), path)
    return section.mpp / mpp


def _save(rgb: Array, path: Path) -> None:
    from PIL import Image

    Image.fromarray(rgb).save(path)
