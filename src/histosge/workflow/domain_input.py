"""Reading what domains are found in, and the image that their maps are drawn on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.domains import DomainInput
from histosge.domains.memory import refuse_beyond_memory
from histosge.errors import DataError, UsageError
from histosge.figures.domain_maps import Backdrop
from histosge.io.hdf5.anndata_file import read_anndata
from histosge.io.layout.prediction_table import fitted_genes
from histosge.io.own_files import refuse_mixture
from histosge.io.run_record import RUN, read_run
from histosge.section.genes import Genes
from histosge.section.section import Section

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["DomainSource", "MapLocations", "from_adata", "map_locations", "read_source"]

_IMAGE_PX = 2000
_PREDICTION = "prediction.h5ad"
_FEWER = "Predict at fewer locations or with fewer genes, or use a machine with more memory."


@dataclass(frozen=True, slots=True, eq=False)
class DomainSource:
    """Expression to find domains in, and the image to draw them on; ``None`` without one.

    ``genes`` says whether genes could be chosen: of a prediction all that were fitted are taken.
    """

    input: DomainInput
    image: Backdrop | None
    genes: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class MapLocations:
    """Locations of a map, and the image to draw on; ``None`` without one."""

    ids: Array
    xy_um: Float[np.ndarray, "n 2"]
    image: Backdrop | None


def map_locations(data: Section | AnnData) -> MapLocations:
    """Return the locations of a section, of a prediction or of an AnnData with counts."""
    if isinstance(data, Section):
        return MapLocations(data.spots.ids, data.spots.xy, _thumbnail(data))
    if "histosge" in data.uns and "spatial_um" in data.obsm:
        names = data.obs_names.to_numpy(dtype=str)
        xy_um = np.asarray(data.obsm["spatial_um"], dtype=np.float64)
        return MapLocations(names, xy_um, _stored_image(data))
    from histosge.io.readers.anndata import from_anndata

    return map_locations(from_anndata(data))


def read_source(path: Path, *, values: str | None, genes: Genes) -> DomainSource:
    """Read a section, a ``prediction.h5ad`` or another h5ad.

    Parameters
    ----------
    path
        Folder or file; the folder of a run stands for its ``prediction.h5ad``.
    values
        ``"measured"`` or ``"predicted"``; ``None`` takes predictions where there are any.
    genes
        Of a measured section; see :func:`histosge.section.genes.select`. Of a prediction all fitted genes are taken.

    Raises
    ------
    UsageError
        For a path that does not exist, or predicted values of a section that has none.
    DataError
        For a damaged file, or one that this version did not write.
    """
    if values not in (None, "measured", "predicted"):
        raise UsageError(f"Expected `values` that are measured or predicted, got '{values}'.")
    if not path.exists():
        raise UsageError(f"Expected a section or a prediction, found nothing at '{path}'. Check the path.")
    if (path / _PREDICTION).is_file():
        if (path / RUN).is_file():
            refuse_mixture(path, read_run(path), _PREDICTION)
        path = path / _PREDICTION
    if path.suffix == ".h5ad":
        return from_adata(read_anndata(path), path.stem, values=values, genes=genes)
    if values == "predicted":
        raise UsageError(f"'{path}' is a section: measured, not predicted. Give the {_PREDICTION} of a run.")
    from histosge.io.readers import read

    return _from_section(read(path), genes)


def from_adata(adata: AnnData, name: str, *, values: str | None, genes: Genes) -> DomainSource:
    """Return what an AnnData holds: a prediction as this package writes it, or raw counts.

    Raises
    ------
    UsageError
        For predicted values of an AnnData that holds none.
    DataError
        When there are no positions, or neither predictions nor counts.
    """
    if "histosge" not in adata.uns:
        if values == "predicted":
            raise UsageError(
                f"This AnnData holds no predictions of histosge. Give the {_PREDICTION} of a run."
            )
        from histosge.io.readers.anndata import from_anndata

        return _from_section(from_anndata(adata), genes)
    if adata.X is None:
        raise UsageError(f"'{name}' holds factors in place of genes. Give the {_PREDICTION} of the same run.")
    try:
        return _from_prediction(adata, name, values)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"Expected a prediction as this version writes it in '{name}', got one without or with another {error}. "
            "Predict again with this version."
        ) from error


def _from_section(section: Section, genes: Genes) -> DomainSource:
    return DomainSource(DomainInput.measured(section, genes=genes), _thumbnail(section))


def _from_prediction(adata: Any, name: str, values: str | None) -> DomainSource:
    observed = adata.obs["observed"].to_numpy(dtype=bool)
    in_tissue = adata.obs["in_tissue"].to_numpy(dtype=bool)
    # beyond the tissue there is nothing to divide
    everywhere = observed | in_tissue if (observed | in_tissue).any() else np.ones(len(observed), dtype=bool)
    # in the order of the names: methods sum over genes; what else was written must not change domains
    names = adata.var_names.to_numpy(dtype=str)
    fitted = np.flatnonzero(np.isin(names, fitted_genes(adata)))
    fitted = fitted[np.argsort(names[fitted], kind="stable")]
    provenance = json.loads(adata.uns["histosge"]["provenance_json"])
    about = provenance.get("section", {}).get("name", name)

    def part(kind: str, matrix: Any, rows: Array, spots: DomainInput | None = None) -> DomainInput:
        refuse_beyond_memory(int(rows.sum()), len(fitted), _FEWER)
        held = matrix[rows]
        held = np.asarray(held.toarray() if hasattr(held, "toarray") else held, dtype=np.float64)[:, fitted]
        return DomainInput(
            str(about),
            adata.obs_names.to_numpy(dtype=str)[rows],
            np.asarray(adata.obsm["spatial_um"], dtype=np.float64)[rows],
            values=held,
            description=f"{kind}, {held.shape[1]} genes",
            spots=spots,
            predicted=kind == "predicted",
        )

    if values == "measured":
        domain_input = part("measured", adata.layers["measured"], observed)
    else:
        spots = None
        if observed.any() and "measured" in adata.layers:
            spots = part("measured", adata.layers["measured"], observed)
        domain_input = part("predicted", adata.X, everywhere, spots)
    return DomainSource(domain_input, _stored_image(adata), genes=False)


def _thumbnail(section: Section) -> Backdrop | None:
    if section.slide is None:
        return None
    # a map has some thousand pixels; no more are read from the slide
    mpp = max(section.slide.mpp, max(section.slide.size_um) / _IMAGE_PX)
    return Backdrop(section.slide.thumbnail(mpp), mpp)


def _stored_image(adata: Any) -> Backdrop | None:
    """Return the image inside a prediction; there is none where the section had none."""
    for library in adata.uns.get("spatial", {}).values():
        image = library.get("images", {}).get("hires")
        if image is not None:
            if np.ndim(image) != 3 or not np.size(image):
                raise DataError(
                    f"Expected an image in the prediction, got an array of {np.shape(image)}. Predict again."
                )
            scale = float(library["scalefactors"]["tissue_hires_scalef"])
            return Backdrop(np.asarray(image), float(adata.uns["histosge"]["layout"]["mpp"]) / scale)
    return None
