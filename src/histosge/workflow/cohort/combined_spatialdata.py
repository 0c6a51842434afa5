"""All sections of a cohort in one SpatialData store, each in a coordinate system of its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.messages import Message
from histosge.io.writers import WRITERS

from .plan import CohortPlan
from .sheet import Sample

__all__ = ["FORMAT", "STORE", "write_spatialdata"]

#: name of the store in the folder of a cohort, and of the format of the sections' own stores
STORE, FORMAT = "cohort.zarr", "spatialdata"
_TABLE, _MARK = "table", "histosge_cohort"
# elements of a section's store that rows of its table can be
_ROWS = ("cells", "locations")
_ELEMENTS = (*_ROWS, "nuclei", "image")
# a name of an element has no other characters
_OTHERS = re.compile(r"[^A-Za-z0-9_.-]")


def write_spatialdata(
    plan: CohortPlan, samples: Sequence[Sample], combined: Path
) -> tuple[Path | None, tuple[Message, ...]]:
    """Write ``samples``, all of them done, as one store; matrices and images are read while they are written.

    Elements are those of the sections' own stores under the sample's name: ``A1_image``, ``A1_locations`` or
    ``A1_cells``. Coordinate systems are ``A1`` in µm and ``A1_fullres_px``: sections have no common one. ``table`` has
    the rows of ``cohort.h5ad``; its column ``region`` names the element, ``library_id`` the sample.

    Parameters
    ----------
    plan, samples
        The cohort, and which of its samples.
    combined
        Its ``cohort.h5ad``.

    Returns
    -------
    The store, and what is to be said of it; ``None`` where names of samples are alike but for characters that names
    of elements cannot have.

    Raises
    ------
    UsageError
        Where SpatialData is not installed, or the store has elements of others.
    OutputError
        When the disk is full.
    """
    names = {sample.sample: _OTHERS.sub("_", sample.sample) for sample in samples}
    alike = [name for name, number in Counter(names.values()).items() if number > 1]
    if alike:
        text = (
            f"{STORE} was not written: in it, several samples would be named '{alike[0]}'. Name samples by letters, "
            "digits, - and _."
        )
        return None, (Message("warning", text),)
    import h5py
    import spatialdata

    elements: dict[str, Any] = {}
    regions: dict[str, str] = {}
    for sample in samples:
        name = names[sample.sample]
        part = spatialdata.read_zarr(
            plan.folder(sample) / WRITERS[FORMAT].filename, selection=("images", "shapes")
        )
        regions[sample.sample] = f"{name}_{next(row for row in _ROWS if row in part.shapes)}"
        elements |= {f"{name}_{key}": _moved(part[key], name) for key in _ELEMENTS if key in part}
    path = plan.out / STORE
    with atomic_path(path, own=_is_own) as draft, h5py.File(combined) as file:
        elements[_TABLE] = _table(file, regions)
        spatialdata.SpatialData.init_from_elements(elements).write(draft)
    return path, ()


def _moved(element: Any, name: str) -> Any:
    """Return an element of a section's store in the coordinate systems of the section."""
    from spatialdata.transformations import get_transformation, set_transformation

    frames = get_transformation(element, get_all=True)
    moved = {name: frames["global"], f"{name}_fullres_px": frames["fullres_px"]}
    set_transformation(element, moved, set_all=True)
    return element


def _table(file: Any, regions: dict[str, str]) -> Any:
    """Return the rows of ``cohort.h5ad``, whose matrices are read piece by piece."""
    import pandas as pd
    from anndata import AnnData
    from anndata.experimental import read_elem_lazy
    from anndata.io import read_elem
    from spatialdata.models import TableModel

    obs = read_elem(file["obs"])
    library = obs["library_id"].astype(str)
    obs["region"] = pd.Categorical(library.map(regions))
    # rows are named SAMPLE/LOCATION
    obs["location_id"] = [
        row[len(name) + 1 :] for row, name in zip(obs.index.astype(str), library, strict=True)
    ]
    table = AnnData(
        read_elem_lazy(file["X"]),
        obs=obs,
        var=read_elem(file["var"]),
        # as in the sections' own stores: µm, where h5ad files have pixels for scanpy
        obsm={"spatial": read_elem(file["obsm/spatial_um"]), "spatial_px": read_elem(file["obsm/spatial"])},
        layers={name: read_elem_lazy(file["layers"][name]) for name in file["layers"]},
        uns={_MARK: {"samples": list(regions)}},
    )
    return TableModel.parse(
        table, region=list(dict.fromkeys(regions.values())), region_key="region", instance_key="location_id"
    )


def _is_own(path: Path) -> bool:
    """Return whether a store is one of ours, to which nobody added elements."""
    if not (path / "tables" / _TABLE / "uns" / _MARK).is_dir():
        return False
    every = [
        element for kind in ("images", "shapes", "labels", "points") for element in path.glob(f"{kind}/*")
    ]
    ours = (f"_{name}" for name in _ELEMENTS)
    ends = tuple(ours)
    return all(element.name.endswith(ends) for element in every if element.is_dir())
