"""A count matrix and images as 10x software writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array
from histosge.io.hdf5.sink import hdf5_file
from histosge.section.section import Section

__all__ = ["write_images", "write_matrix"]

# longest sides of the images; Space Ranger's are 6000 for Visium HD, and 600
_LONGEST_PX = {"hires": 6000, "lowres": 600}


def write_matrix(
    path: Path, counts: sparse.csr_matrix, *, barcodes: Array, genes: Array, gene_ids: Array, library: str
) -> None:
    """Write counts, barcodes × genes, as the HDF5 of Cell Ranger 3 and later.

    Parameters
    ----------
    path
        The file.
    counts
        Whole numbers.
    barcodes, genes, gene_ids
        Names of rows and columns.
    library
        Name of the section, by which scanpy and squidpy call it.
    """
    counts = counts.sorted_indices()
    with hdf5_file(path) as (file, _):
        file.attrs["filetype"] = "matrix"
        file.attrs["version"] = 2
        file.attrs["library_ids"] = np.array([library], dtype="S")
        file.attrs["software_version"] = "histosge"
        group = file.create_group("matrix")
        # barcode by gene in rows is gene by barcode in columns
        parts = {
            "data": counts.data.astype(np.int32),
            "indices": counts.indices.astype(np.int64),
            "indptr": counts.indptr.astype(np.int64),
            "barcodes": _bytes(barcodes),
        }
        for name, content in parts.items():
            group.create_dataset(name, data=content, compression="gzip", compression_opts=1)
        group["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
        features = group.create_group("features")
        kinds = {"feature_type": "Gene Expression", "genome": ""}
        columns = {"id": gene_ids, "name": genes} | {
            key: np.full(len(genes), value) for key, value in kinds.items()
        }
        for name, content in columns.items():
            features[name] = _bytes(content)
        features["_all_tag_keys"] = np.array(["genome"], dtype="S")


def write_images(folder: Path, section: Section) -> dict[str, float]:
    """Write ``tissue_hires_image.png`` and ``tissue_lowres_image.png``; return their scales by Space Ranger's names.

    A section without image gets neither files nor scales.
    """
    from PIL import Image

    if section.slide is None:
        return {}
    scales = {}
    width_um, height_um = section.slide.size_um
    for kind, longest_px in _LONGEST_PX.items():
        mpp = max(section.slide.mpp, max(width_um, height_um) / longest_px)
        pixels = section.slide.thumbnail(mpp)
        Image.fromarray(pixels).save(folder / f"tissue_{kind}_image.png")
        scales[f"tissue_{kind}_scalef"] = pixels.shape[1] * section.mpp / width_um
    return scales


def _bytes(texts: Array) -> Array:
    return np.array([str(text).encode() for text in texts], dtype="S") if len(texts) else np.empty(0, "S1")
