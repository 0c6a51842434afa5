"""The layout that ``prediction.h5ad`` and the SpatialData table share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from scipy import sparse

from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.geometry.spacing import median_spacing_um
from histosge.prediction.attribution import COMPONENTS
from histosge.prediction.factored import Basis
from histosge.prediction.mean_depth import is_depth_adjusted
from histosge.section.expression import depth, log_cp10k
from histosge.section.locations import Locations
from histosge.section.marker_genes import symbols_of
from histosge.section.section import Section

from . import cell_table

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "ABOUT_ACCURACY",
    "ACCURACY",
    "CELL_SCALE",
    "Layout",
    "as_json",
    "describe",
    "fitted_genes",
    "layers",
    "library",
    "location_diameter_um",
    "locations",
    "made_by",
    "obs",
    "parts",
    "spatial",
    "var",
]

_COLUMNS = ("observed", "parent", "subspot", "in_tissue", "array_col", "array_row")
# pitches from the nearest spot beyond which a location is not between spots; sub-spots are up to one away
_FAR_PITCHES = 1.01
# longest side of the image put into a table; what Space Ranger calls hires
_HIRES_PX = 2000
#: columns of a gene's accuracy that are numbers
ACCURACY = ("r_loo", "r_loo_given_depth", "r_loo_low", "r_loo_high")
#: of a prediction at cells, further ones
CELL_SCALE = ("reliability_cell", "reliability_own", "reliability_50um")
#: what the columns of accuracy and attribution are
ABOUT_ACCURACY = (
    "r_loo: correlation with the measurement at spots left out (or, from an image alone, in sections left out), NaN "
    "where unknown; r_loo_given_depth: the same given the total counts of the spots; r_loo_low, r_loo_high: 90 % "
    "interval of r_loo; grade: strong, fair, weak, none or unknown, by the stricter of both correlations; "
    "fitted: True for the genes of the panel, False for genes regressed on the factors of the panel; "
    "from_position, from_histology, from_auxiliary, where known: shares of the variance of the gene's prediction, "
    "which add up to 1, or all 0 where it does not vary"
)
_ABOUT = {
    "X": "predicted expression, log1p of counts per 10 000; at the measured spots too",
    "layers_measured": "log1p of counts per 10 000 as measured; only rows with obs['observed'] hold values. The other "
    "rows are empty because nothing was measured there, not because nothing is expressed there",
    "var": "gene_ids: stable identifier; symbol: where genes are called by identifiers, the symbol of known markers; "
    f"from models by factors, {ABOUT_ACCURACY}",
    "layers_sd": "standard deviation of a new measurement around X, its noise included, from models that estimate it",
    "layers_counts": "raw counts of the measured spots; rows of other locations are empty",
    "obs_observed": "True where the location is a measured spot",
    "obs_total_counts": "counts of the measured spots over all genes, of which only some may be in this file",
    "obs_parent": "barcode of the nearest measured spot; none where nothing was measured",
    "obs_subspot": "0 at the measured spots, k at their k-th translates, -1 at locations without a sub-spot index",
    "obs_array": "array_col and array_row: position on the platform's array, fractional between the spots",
    "obs_distance_um": "where locations lie further than one pitch from every spot: distance to the nearest spot, µm",
    "obs_predicted_total_counts": "total counts of a spot centred at the location, expected from its factor scores; "
    "from models by factors, in measured sections",
    "obsm_spatial": "x, y in pixels of the full-resolution image",
    "obsm_spatial_um": "x, y in micrometres",
}

# what differs where the fit is adjusted for depth
_ABOUT_ADJUSTED = {
    "X": "predicted expression at the mean log depth of the section: log1p of counts per 10 000, less a straight line "
    "in log depth for each gene; at the measured spots too",
    "layers_measured": f"{_ABOUT['layers_measured']}; not adjusted for depth",
    "var": f"{_ABOUT['var']}; the measurement is one adjusted for depth as X is",
    "layers_sd": f"{_ABOUT['layers_sd']}, and adjusted for depth as X is",
}


def parts(section: Section, locations: Locations, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts that all AnnData files of predictions have in common.

    Parameters
    ----------
    section, locations
        The section that the model was fitted to, and the locations of the prediction.
    about
        Metadata, as :func:`describe` returns it.
    """
    return {
        "obs": obs(section, locations),
        "obsm": {"spatial": locations.xy / section.mpp, "spatial_um": np.array(locations.xy)},
        "uns": {"histosge": about, "spatial": spatial(section, locations)},
        "layers": {},
        "varm": {},
        "obsp": {},
        "varp": {},
    }


def obs(section: Section, locations: Locations) -> DataFrame:
    """Return one row a location: whether it was measured, its parent spot and its position on the lattice."""
    import pandas as pd

    barcodes = pd.Index(section.spots.ids.astype(object))
    # without measured spots no location has a parent
    parent = (
        np.asarray(locations.parent, dtype=np.intp) if section.has_counts else np.full(len(locations), -1)
    )
    return pd.DataFrame(
        {
            "observed": _flags(locations.observed),
            "parent": pd.Categorical.from_codes(parent, barcodes),
            "subspot": locations.subspot.astype(np.int32),
            "in_tissue": np.array(locations.in_tissue),
            "array_col": np.array(locations.lattice_xy[:, 0]),
            "array_row": np.array(locations.lattice_xy[:, 1]),
        }
        | _distances(section, locations)
        | _depth(section, locations)
        | cell_table.columns(section, locations),
        index=pd.Index(locations.points.ids.astype(object), name="location"),
    )


def _distances(section: Section, locations: Locations) -> dict[str, Array]:
    """Return the distance to the nearest spot where locations lie further than one pitch from every spot."""
    if not section.has_counts:
        return {}
    distance_um = locations.distance_um(section.spots)
    far = bool((distance_um > _FAR_PITCHES * section.pitch_um).any())
    return {"distance_um": distance_um.astype(np.float32)} if far else {}


def locations(obs: DataFrame, xy_um: Array, layout: Mapping[str, Any]) -> Locations:
    """Return the locations of a file; ``parent`` counts rows of the section, also after rows of the file were removed.

    Parameters
    ----------
    obs
        As :func:`obs` returns it.
    xy_um
        Positions.
    layout
        ``uns["histosge"]["layout"]``, as :func:`describe` returns it.
    """
    # categories may have been removed or reordered by other tools: names are mapped, not codes
    held = Layout.of(layout)
    row_of = {name: row for row, name in enumerate(held.spots)}
    observed, parent, subspot, in_tissue, column, row = (obs[name] for name in _COLUMNS)
    parent = parent.astype("category")
    row_of_category = np.array([*(row_of[str(name)] for name in parent.cat.categories), -1], dtype=np.intp)
    return Locations(
        points=Points(np.asarray(xy_um), obs.index.to_numpy(), held.location_diameter_um),
        lattice_xy=np.column_stack([column, row]).astype(np.float64),
        parent=row_of_category[parent.cat.codes],
        subspot=subspot.to_numpy(dtype=np.intp),
        observed=observed.to_numpy(dtype=bool),
        in_tissue=in_tissue.to_numpy(dtype=bool),
        cells=cell_table.unpacked(obs, xy_um, layout["cells"]) if "cells" in layout else None,
    )


def var(section: Section, genes: Array, basis: Basis | None = None) -> DataFrame:
    """Return one row a gene, with its stable identifier and, where a basis is given, its accuracy and attribution."""
    import pandas as pd

    ids = section.gene_ids[section.columns(genes)].astype(object)
    frame = pd.DataFrame({"gene_ids": ids}, index=pd.Index(np.asarray(genes).astype(object), name="gene"))
    if (symbols := symbols_of(genes, ids)).any():
        frame["symbol"] = symbols.astype(object)
    if basis is None:
        return frame
    basis = basis.take(basis.columns([str(gene) for gene in genes]))
    for name in ACCURACY:
        frame[name] = np.asarray(getattr(basis, name), dtype=np.float32)
    frame["grade"] = basis.grade.astype(object)
    frame["fitted"] = basis.fitted
    if np.isfinite(basis.reliability_50um).any():
        for name in CELL_SCALE:
            frame[name] = np.asarray(getattr(basis, name), dtype=np.float32)
        frame["reliable_as"] = basis.reliable_as.astype(object)
    if (shares := basis.shares) is not None:
        for name, column in zip(COMPONENTS, shares.T, strict=True):
            frame[f"from_{name}"] = np.asarray(column, dtype=np.float32)
    return frame


def fitted_genes(adata: Any) -> Array:
    """Return the names of the genes of a prediction that its model was fitted to; all where none is marked so."""
    names = adata.var_names.to_numpy(dtype=str)
    fitted = adata.var["fitted"].to_numpy(dtype=bool) if "fitted" in adata.var else np.zeros(len(names), bool)
    return np.asarray(names[fitted] if fitted.any() else names)


def layers(section: Section, locations: Locations, genes: Array) -> dict[str, sparse.csr_matrix]:
    """Return what was measured, locations × genes; rows of locations that were not measured are empty.

    ``measured`` is log1p(CP10k); ``counts`` are the raw counts, where there are any.
    """
    columns = section.columns(genes)
    # normalised by the depth over all genes, whichever are written
    held = {"measured": _at_spots(log_cp10k(section.counts, columns=columns).tocsr(), locations)}
    if section.has_counts:
        held["counts"] = _at_spots(section.counts[:, columns], locations)
    return held


def _flags(values: Array) -> Any:
    """Return a column of yes or no as categories, which tools draw and which still selects rows."""
    import pandas as pd

    return pd.Categorical(np.array(values), categories=[False, True])


def _depth(section: Section, locations: Locations) -> dict[str, Array]:
    """Return the total counts over all genes of the measured locations; nothing where none was measured."""
    if not (section.has_counts and locations.observed.any()):
        return {}
    totals = np.full(len(locations), np.nan)
    totals[locations.observed] = depth(section.counts)[locations.parent[locations.observed]]
    return {"total_counts": totals}


def _at_spots(values: sparse.csr_matrix, locations: Locations) -> sparse.csr_matrix:
    """Return values of spots as rows of the locations that are these spots; the other rows are empty."""
    values = values[locations.parent[locations.observed]].astype(np.float32)
    values.sort_indices()
    # a CSR matrix with empty rows between: only the ends of the rows change, not the values
    stored = np.zeros(len(locations), dtype=np.int64)
    stored[locations.observed] = np.diff(values.indptr)
    ends = np.concatenate([[0], np.cumsum(stored)])
    return sparse.csr_matrix((values.data, values.indices, ends), shape=(len(locations), values.shape[1]))


def spatial(section: Section, locations: Locations) -> dict[str, Any]:
    """Return ``uns["spatial"]`` as Scanpy and Squidpy read it: the image and its scale factors.

    The image has at most 2000 pixels a side. ``spot_diameter_fullres`` is that of the locations, not of the spots.
    Without an image there are scale factors only.
    """
    diameter_px = location_diameter_um(section, locations) / section.mpp
    content: dict[str, Any] = {
        "images": {},
        "scalefactors": {"spot_diameter_fullres": diameter_px},
        "metadata": {"software": "histosge", "platform": section.platform.name},
    }
    if section.slide is not None:
        # never sharper than the slide itself
        mpp = max(section.slide.mpp, max(section.slide.size_um) / _HIRES_PX)
        image = section.slide.thumbnail(mpp)
        content["images"]["hires"] = image
        scale = image.shape[1] / (section.slide.size_um[0] / section.mpp)
        content["scalefactors"]["tissue_hires_scalef"] = scale
    return {library(section): content}


def library(section: Section) -> str:
    """Return the section's name as a key that HDF5 and zarr allow."""
    return section.name.replace("/", "_").strip(". ") or "section"


def location_diameter_um(section: Section, locations: Locations) -> float:
    """Return the diameter to draw a location with; for points without extent, the distance to their neighbours."""
    if locations.points.diameter_um > 0:
        return locations.points.diameter_um
    if len(locations) < 2:
        return section.spots.diameter_um or section.pitch_um
    return median_spacing_um(locations.xy)


def describe(section: Section, locations: Locations, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``uns["histosge"]``: the provenance as a mapping and as exact JSON, and a legend of the file.

    HDF5 has neither null nor lists of mixed types. The mapping leaves out ``None`` and turns such lists into mappings
    by position; ``provenance_json`` is complete.
    """
    plain = _plain(provenance)
    layout: dict[str, Any] = {
        "about": _ABOUT | (_ABOUT_ADJUSTED if is_depth_adjusted(plain) else {}),
        "mpp": section.mpp,
        "location_diameter_um": locations.points.diameter_um,
        # the rows that `parent` counts, also after rows of the file were removed
        "spots": section.spots.ids.astype(object),
    }
    if locations.cells is not None:
        layout["about"] |= cell_table.ABOUT
        layout["cells"] = cell_table.packed(locations.cells)
    return {**_browsable(plain), "layout": layout, "provenance_json": json.dumps(plain)}


class Layout(msgspec.Struct):
    """Schema of ``uns["histosge"]["layout"]``."""

    spots: list[str]
    location_diameter_um: Annotated[float, msgspec.Meta(ge=0)]
    mpp: Annotated[float, msgspec.Meta(gt=0)]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Layout:
        """Return what a file holds, as this package or another one wrote it.

        Raises
        ------
        ValueError
            For another layout.
        """
        values = {name: np.asarray(content[name]).tolist() for name in cls.__struct_fields__}
        return msgspec.convert(values, cls)


def made_by(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the complete provenance of ``uns["histosge"]``.

    Raises
    ------
    KeyError, ValueError
        Where it is missing or damaged.
    """
    return msgspec.convert(json.loads(content["provenance_json"]), dict[str, Any])


def as_json(provenance: Mapping[str, Any]) -> str:
    """Return the complete provenance as JSON."""
    return json.dumps(_plain(provenance))


def _plain(value: Any) -> Any:
    """Return ``value`` in the types of JSON."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    raise UsageError(
        f"Expected plain values in the provenance, got {type(value).__name__}. Use numbers, text and lists."
    )


def _browsable(value: Any) -> Any:
    """Return a plain value as HDF5 can hold it."""
    if isinstance(value, Mapping):
        return {key.replace("/", "_"): _browsable(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return np.array(value, dtype=object)
        if all(isinstance(item, (bool, int, float)) for item in value):
            return np.array(value)
        return {str(index): _browsable(item) for index, item in enumerate(value) if item is not None}
    return value
