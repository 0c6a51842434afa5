"""All sections of a cohort in one AnnData."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.messages import Message

from .plan import CohortPlan
from .sheet import Sample

__all__ = ["NAME", "write_combined"]

#: name of the file in the folder of a cohort
NAME = "cohort.h5ad"
_COLUMNS = ("patient", "batch", "group")


def write_combined(plan: CohortPlan, samples: Sequence[Sample]) -> tuple[Path | None, tuple[Message, ...]]:
    """Write the predictions of ``samples``, all of them done, as one file, section by section, in bounded memory.

    Rows are the locations of the sections in the order of the sheet, named ``SAMPLE/LOCATION``; columns are the genes
    that all sections have. ``obs`` gains ``library_id`` (the sample), ``patient``, ``batch`` and ``group``; pictures
    and scales are in ``uns["spatial"][sample]``.

    Returns
    -------
    The file, and what is to be said of it; ``None`` where the sections have no gene in common.
    """
    import anndata
    import h5py
    from anndata.experimental import concat_on_disk

    folders = {sample.sample: plan.folder(sample) / "prediction.h5ad" for sample in samples}
    sizes = {name: _genes(path) for name, path in folders.items()}
    common = set.intersection(*(set(genes) for genes in sizes.values())) if sizes else set()
    if not common:
        text = f"The sections have no predicted gene in common: {NAME} was not written."
        return None, (Message("warning", text),)
    messages: tuple[Message, ...] = ()
    if any(len(genes) > len(common) for genes in sizes.values()):
        text = f"{NAME} has the {len(common)} genes that all sections predict. A joint fit has the same genes in all."
        messages = (Message("info", text),)
    path = plan.out / NAME
    with atomic_path(path) as draft:
        concat_on_disk(folders, draft, join="inner", merge="same", label="library_id")
        with h5py.File(draft, "r+") as file:
            obs = anndata.io.read_elem(file["obs"])
            if len(folders) == 1:
                # nothing was joined, and the rows are not labelled
                obs["library_id"] = next(iter(folders))
            anndata.io.write_elem(file, "obs", _named(obs, plan))
            for source in folders.values():
                _copy_pictures(source, file)
    return path, messages


def _named(obs: Any, plan: CohortPlan) -> Any:
    """Return the rows with names that are unique in the cohort, and with what the sheet says of them."""
    import pandas as pd

    library = obs["library_id"].astype(str)
    obs.index = pd.Index([f"{sample}/{name}" for sample, name in zip(library, obs.index, strict=True)])
    for column in _COLUMNS:
        values = {sample.sample: getattr(sample, column) for sample in plan.sheet.samples}
        obs[column] = pd.Categorical([values[sample] for sample in library])
    return obs


def _copy_pictures(source: Path, file: Any) -> None:
    """Copy pictures and scales of a section, which are under its name."""
    import h5py

    with h5py.File(source) as part:
        spatial = part.get("uns/spatial")
        for name in () if spatial is None else spatial:
            if "uns/spatial" not in file:
                file.require_group("uns").attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
                file.create_group("uns/spatial").attrs.update(spatial.attrs)
            # of a single section all was copied
            if name not in file["uns/spatial"]:
                part.copy(spatial[name], file["uns/spatial"])


def _genes(path: Path) -> list[str]:
    import anndata
    import h5py

    with h5py.File(path) as file:
        return [str(name) for name in anndata.io.read_elem(file["var"]).index]
