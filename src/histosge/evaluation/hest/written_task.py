"""A task in the layout of HEST-Benchmark, made of the user's own sections."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.images.slide import SlideImage
from histosge.section.section import Section
from histosge.section.variable_genes import highly_variable

from .task import PATCH_PX, PATCH_UM

__all__ = ["write_task"]

# of the benchmark: share of the spots of every sample in which a gene is counted
_LEAST_SHARE = 0.1
_GENES = 50
# probes that are no genes
_CONTROL = re.compile("BLANK|Control")
# patches read at once
_BLOCK = 64


def write_task(sections: Sequence[Section], folder: Path | str, *, genes: int = _GENES) -> Path:
    """Write sections as a task: patches, counts, genes, and folds that leave out each section in turn.

    Parameters
    ----------
    sections
        Two or more, with images and with names of their own; of one organ, as the tasks of the benchmark are.
    folder
        To be made: its name is that of the task.
    genes
        How many: the most variable of those that are counted in 10 % of the spots of every section.

    Raises
    ------
    UsageError
        For fewer than two sections, equal names, a section without an image, or too few common genes.
    """
    folder, names = Path(folder), [section.name for section in sections]
    if len(sections) < 2 or len(set(names)) < len(names):
        raise UsageError(
            f"Expected two sections or more with different names, got {', '.join(names) or 'none'}."
        )
    slides = [_slide(section) for section in sections]
    chosen = _variable(sections, genes)
    with atomic_path(folder) as draft:
        for name in ("patches", "adata", "splits"):
            (draft / name).mkdir(parents=True)
        (draft / "var_50genes.json").write_text(json.dumps({"genes": chosen}), encoding="utf-8")
        for number, (section, slide) in enumerate(zip(sections, slides, strict=True)):
            _write_patches(section, slide, draft / "patches" / f"{section.name}.h5")
            _write_counts(section, draft / "adata" / f"{section.name}.h5ad")
            _write_split(draft / "splits" / f"test_{number}.csv", [section.name])
            _write_split(
                draft / "splits" / f"train_{number}.csv", [name for name in names if name != section.name]
            )
    return folder


def _variable(sections: Sequence[Section], number: int) -> list[str]:
    """Return the most variable genes among those that every section has in a tenth of its spots, without controls."""
    common = [
        set(section.genes[np.asarray((section.counts > 0).mean(axis=0)).ravel() >= _LEAST_SHARE].tolist())
        for section in sections
    ]
    names = [name for name in sorted(set.intersection(*common)) if not _CONTROL.search(name)]
    if len(names) < number:
        raise UsageError(
            f"Expected {number} genes in a tenth of the spots of every section, got {len(names)}. Ask for fewer "
            "`genes`, or give sections of one organ and species."
        )
    parts = [section.counts[:, section.columns(names)] for section in sections]
    chosen = highly_variable(sparse.csr_matrix(sparse.vstack(parts)), number)
    return [names[column] for column in chosen.tolist()]


def _slide(section: Section) -> SlideImage:
    """Return the image of a section.

    Raises
    ------
    UsageError
        When it has none.
    """
    if section.slide is None:
        raise UsageError(f"Section '{section.name}' has no image, and the benchmark predicts from patches.")
    return section.slide


def _write_patches(section: Section, slide: SlideImage, path: Path) -> None:
    import h5py

    xy_um = section.spots.xy
    # of a copy of the image the pixels are larger; corners are in those of the whole one
    side = PATCH_UM / section.mpp
    with h5py.File(path, "w") as file:
        image = file.create_dataset(
            "img", (len(xy_um), PATCH_PX, PATCH_PX, 3), dtype="uint8", chunks=(1, PATCH_PX, PATCH_PX, 3)
        )
        for start in range(0, len(xy_um), _BLOCK):
            image[start : start + _BLOCK] = slide.read_many(xy_um[start : start + _BLOCK], PATCH_UM, PATCH_PX)
        corners = file.create_dataset("coords", data=np.rint(xy_um / section.mpp - side / 2).astype(np.int64))
        file.create_dataset(
            "barcode", data=section.spots.ids.astype(object)[:, None], dtype=h5py.string_dtype()
        )
        for part in (image, corners):
            part.attrs.update(
                patch_size_src=round(side),
                patch_size_target=PATCH_PX,
                downsample=side / PATCH_PX,
                pixel_size=section.mpp,
            )


def _write_counts(section: Section, path: Path) -> None:
    from anndata import AnnData
    from pandas import DataFrame

    def index(names: Array) -> DataFrame:
        return DataFrame(index=names.astype(object))

    counts = section.counts.astype(np.float32)
    adata = AnnData(counts, obs=index(section.spots.ids), var=index(section.genes))
    adata.obsm["spatial"] = section.spots.xy / section.mpp
    adata.write_h5ad(path, compression="gzip")


def _write_split(path: Path, names: Sequence[str]) -> None:
    lines = [
        "sample_id,patches_path,expr_path",
        *(f"{name},patches/{name}.h5,adata/{name}.h5ad" for name in names),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
