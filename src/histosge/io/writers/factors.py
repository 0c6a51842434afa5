"""``factors.h5ad``: a prediction of any number of genes in the space of its factors, and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.io.hdf5.anndata_file import clear_layout, clear_reading, created
from histosge.io.layout import measured_section as measured
from histosge.io.layout import prediction_table as layout
from histosge.prediction.attribution import Attribution
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.prediction.total_counts import COLUMN
from histosge.section.section import Section

from .base import AnyPrediction, WriteOptions, Writer
from .recognise import is_own_h5ad

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["ENTRIES", "NAME", "read", "section", "write"]

NAME = "factors.h5ad"
_COLUMNS = ("offset", "noise_sd", "calibration_factor")
_ABOUT = {
    "X": "not held: gene = max(0, var['offset'] + obsm['factor_scores'] @ varm['loadings'][gene]), log1p of counts per "
    "10 000",
    "obsm_factor_scores": "mean of each factor score at each location",
    "obsm_factor_score_sd": "standard deviation of each factor score at each location; the factors are independent",
    "varm_loadings": "weight of each factor in each gene",
    "var": "offset: value where all factor scores are 0; noise_sd: standard deviation of one measurement around its "
    "expectation; calibration_factor: conformal factor on standard deviations of a measurement, and where it is above "
    f"1 on those of the expression itself; {layout.ABOUT_ACCURACY}",
    "uns_attribution": "where known: covariance of the components of each factor (position, histology, auxiliary "
    "sections) with their sum",
    "uns_measured": "the section as measured: counts (spots × genes), genes, spots, spatial_um",
}


def write(
    path: Path, section: Section, prediction: AnyPrediction, options: WriteOptions | None = None
) -> Path:
    """Write a prediction as ``factors.h5ad`` and return its path.

    An AnnData file without ``X``. ``obs``, ``obsm["spatial"]``, ``obsm["spatial_um"]``, ``uns["spatial"]`` and
    ``uns["histosge"]`` are those of ``prediction.h5ad``. ``obsm["factor_scores"]`` (float32) and
    ``obsm["factor_score_sd"]`` (float16: a standard deviation to three digits) times ``varm["loadings"]`` make the
    genes; ``uns["measured"]`` holds the section. Where it is known, ``var["from_position"]``, ``var["from_histology"]``
    and ``var["from_auxiliary"]`` attribute each gene's variance, and ``uns["attribution"]`` is what they follow from.
    The file appears whole or not at all.

    Parameters
    ----------
    path
        The file.
    section
        What the model was fitted to.
    prediction
        A factored prediction; a matrix has no factors to write.
    options
        The genes.

    Raises
    ------
    DataError
        For genes that the section does not have, numbers that are not finite, a full disk.
    UsageError
        For a prediction without factors, genes that were not predicted, or a path that cannot be written.
    """
    factored = (options or WriteOptions()).select(prediction)
    if not isinstance(factored, FactoredPrediction):
        raise UsageError(
            "The format factors needs a prediction by factors, and this model predicts genes directly. Choose h5ad."
        )
    _check(factored)
    parts = _parts(section, factored)
    with atomic_path(path) as draft, created(draft, parts):
        pass
    return path


def read(path: Path) -> FactoredPrediction:
    """Return the prediction that :func:`write` left at ``path``; only the factors are read.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is truncated, or was not written by histosge.
    """
    # the measured counts, most of the file, are not read
    with clear_reading(path, NAME):
        elements = _elements(path, ("obs", "var", "obsm", "varm/loadings", "uns/histosge", "uns/attribution"))
    with clear_layout(path):
        obsm, about = elements["obsm"], elements["uns/histosge"]
        sd = obsm.get("factor_score_sd")
        return FactoredPrediction(
            layout.locations(elements["obs"], obsm["spatial_um"], about["layout"]),
            _basis(elements["var"], elements["varm/loadings"], elements.get("uns/attribution")),
            scores=np.asarray(obsm["factor_scores"]),
            score_sd=None if sd is None else np.asarray(sd, dtype=np.float32),
            provenance=layout.made_by(about),
            total_counts=_totals(elements["obs"]),
        )


def _totals(obs: DataFrame) -> Array | None:
    """Return the predicted total counts, which files of earlier versions do not have."""
    return obs[COLUMN].to_numpy(dtype=np.float32) if COLUMN in obs else None


def section(path: Path) -> Section:
    """Return the section that a prediction came from, as far as its file holds it.

    Its genes are those of the prediction, and one more for the counts of all others; its image is a small one.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is truncated, or was not written by histosge.
    """
    with clear_reading(path, NAME):
        elements = _elements(path, ("uns/measured", "uns/spatial"))
    with clear_layout(path):
        return measured.unpacked(elements["uns/measured"], elements["uns/spatial"])


def _elements(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Read some elements of the file; what it lacks is missing here too."""
    import h5py
    from anndata.io import read_elem

    with h5py.File(path, "r") as file:
        return {name: read_elem(file[name]) for name in names if name in file}


def _check(factored: FactoredPrediction) -> None:
    basis = factored.basis
    parts = {name: getattr(basis, name) for name in ("offset", "loadings", "noise_sd", "calibration_factor")}
    parts["attribution"] = None if basis.attribution is None else basis.attribution.forms
    for name, part in {**parts, "scores": factored.scores, "score_sd": factored.score_sd}.items():
        if part is not None and not np.isfinite(part).all():
            raise DataError(
                f"Expected finite {name}, got NaN or infinity. The fit did not converge; try another seed or preset."
            )


def _parts(section: Section, prediction: FactoredPrediction) -> dict[str, Any]:
    """Return the parts of the file by name."""
    locations, basis = prediction.locations, prediction.basis
    metadata = layout.describe(section, locations, prediction.provenance)
    legend = metadata["layout"]["about"]
    shared = [key for key in legend if key.startswith(("obs", "var_", "layout"))]
    metadata["layout"]["about"] = {key: legend[key] for key in shared} | _ABOUT
    parts = layout.parts(section, locations, metadata)
    # scores need the digits that loadings multiply; three digits of a standard deviation are enough
    parts["obsm"]["factor_scores"] = np.asarray(prediction.scores, dtype=np.float32)
    if prediction.score_sd is not None:
        parts["obsm"]["factor_score_sd"] = np.asarray(prediction.score_sd, dtype=np.float16)
    if prediction.total_counts is not None:
        parts["obs"][COLUMN] = np.asarray(prediction.total_counts, dtype=np.float32)
    parts["uns"]["measured"] = measured.packed(section, basis.genes)
    if basis.attribution is not None:
        parts["uns"]["attribution"] = np.asarray(basis.attribution.forms, dtype=np.float32)
    parts["varm"]["loadings"] = np.asarray(basis.loadings, dtype=np.float32)
    return parts | {"var": _var(section, basis)}


def _var(section: Section, basis: Basis) -> DataFrame:
    """Return one row a gene: its identifier and the columns of its basis."""
    frame = layout.var(section, basis.genes, basis)
    for name in _COLUMNS:
        frame[name] = np.asarray(getattr(basis, name), dtype=np.float32)
    return frame


def _basis(var: DataFrame, loadings: Array, forms: Array | None) -> Basis:
    offset, noise_sd, calibration_factor = (var[name].to_numpy(dtype=np.float32) for name in _COLUMNS)
    # files of earlier versions hold r_loo alone
    names = (*layout.ACCURACY[1:], *layout.CELL_SCALE)
    accuracy = {name: var[name].to_numpy(dtype=np.float32) for name in names if name in var}
    if "grade" in var:
        accuracy["grade"] = var["grade"].to_numpy(dtype=str)
    if "fitted" in var:
        accuracy["fitted"] = var["fitted"].to_numpy(dtype=bool)
    return Basis(
        genes=var.index.to_numpy(dtype=str),
        offset=offset,
        loadings=np.asarray(loadings),
        noise_sd=noise_sd,
        calibration_factor=calibration_factor,
        r_loo=var["r_loo"].to_numpy(dtype=np.float32),
        attribution=None if forms is None else Attribution(np.asarray(forms)),
        **accuracy,
    )


ENTRIES = (
    Writer(
        name="factors",
        summary="AnnData with factor scores and loadings in place of the matrix: all genes in little space",
        filename=NAME,
        kind="file",
        streams=True,
        write=write,
        recognises=is_own_h5ad,
    ),
)
