"""``unmeasured.h5ad``: genes that were never measured in a section, apart from those that were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.prediction.prediction import Prediction
from histosge.section.section import Section

from .hdf5.anndata_file import created
from .layout import prediction_table as layout

__all__ = ["NAME", "UNIT_LOG1P", "UNIT_SD", "write_unmeasured"]

NAME = "unmeasured.h5ad"
#: units of ``X``
UNIT_LOG1P, UNIT_SD = (
    "log1p of counts per 10 000",
    "standard deviations of the gene about its mean in the section",
)
_ABOUT = {
    "layers_sd": "standard deviation of a measurement around X, in the unit of X: the root mean square error of "
    "measured genes that were predicted as if they had not been measured; the same at all locations",
    "var": "r: correlation with a measurement that is to be expected at spots, the mean of the 50 measured genes most "
    "alike, predicted as if they had not been measured; r_given_depth: the same given the total counts of the spots; "
    "r_low, r_high: between these are 90 % of these genes; r_exchanged: r with the genes of the programs exchanged; "
    "grade: strong, fair, weak or none, by the stricter of r and r_given_depth; mean, sd: where the unit is log1p, "
    "level and standard deviation that were taken from the gene programs",
}
_NEVER = "These genes were never measured in this section: they follow measured genes as in the data of the programs."


def write_unmeasured(
    path: Path,
    section: Section,
    prediction: Prediction,
    *,
    columns: Mapping[str, Array],
    unit: str,
    level: str,
) -> Path:
    """Write genes that were never measured, and return the path. The file appears whole or not at all.

    ``obs``, ``obsm`` and ``uns["spatial"]`` are those of ``prediction.h5ad``, so that both can be opened side by side;
    nothing is joined to the measured genes by mistake, because the file is another one.

    Parameters
    ----------
    path
        The file.
    section
        In which they were not measured.
    prediction
        Means and standard deviations.
    columns
        Of ``var``, by their names.
    unit
        Of ``X``: :data:`UNIT_LOG1P` or :data:`UNIT_SD`.
    level
        Where the level comes from, or why there is none.
    """
    import pandas as pd

    metadata = layout.describe(section, prediction.locations, prediction.provenance)
    legend = metadata["layout"]["about"]
    about = {key: legend[key] for key in legend if key.startswith("obs")}
    about |= _ABOUT | {"X": f"{unit}. {_NEVER}", "level": level}
    metadata["layout"]["about"] = about
    parts = layout.parts(section, prediction.locations, metadata)
    parts["uns"]["unmeasured"] = {"unit": unit, "level": level, "never_measured": _NEVER}
    index = pd.Index(prediction.genes.astype(object), name="gene")
    held = {name: part.astype(object) if part.dtype.kind == "U" else part for name, part in columns.items()}
    parts["var"] = pd.DataFrame(held, index=index)
    parts["X"] = np.asarray(prediction.mean, dtype=np.float32)
    parts["layers"] = {} if prediction.sd is None else {"sd": np.asarray(prediction.sd, dtype=np.float32)}
    with atomic_path(path) as draft, created(draft, parts):
        pass
    return path
