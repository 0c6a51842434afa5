"""Positions of the spots of an AnnData: pixels in ``obsm["spatial"]``, columns and rows of the array in ``obs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["lattice_of", "number_of", "pixels_of"]

_ARRAY = ("array_col", "array_row")
# names of x and of y, in small letters; Space Ranger, Seurat, HEST, QuPath
_X = ("x", "pxl_col_in_fullres", "pxl_col", "imagecol", "pixel_x", "x_pixel", "x_px", "spatial_x", "col", "0")
_Y = ("y", "pxl_row_in_fullres", "pxl_row", "imagerow", "pixel_y", "y_pixel", "y_px", "spatial_y", "row", "1")
# share of spots without array position that are left out, as those without a partner in a conversion
_WITHOUT = 0.1


def pixels_of(adata: AnnData) -> Array:
    """Return x and y of ``obsm["spatial"]``; columns of a table are taken by their names, whatever their order.

    Raises
    ------
    DataError
        When positions are missing, are no numbers, or have columns of unknown names.
    """
    if "spatial" not in adata.obsm:
        raise DataError('Expected positions in obsm["spatial"], found none. This AnnData is not spatial.')
    stored = adata.obsm["spatial"]
    try:
        xy_px = np.asarray(_by_name(stored), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f'Expected numbers in obsm["spatial"], got something else ({error}).') from error
    if xy_px.ndim != 2 or xy_px.shape[1] < 2:
        raise DataError(
            f'Expected x and y in obsm["spatial"], got an array of {xy_px.shape}. Give both columns.'
        )
    if not np.isfinite(xy_px[:, :2]).all():
        raise DataError('Expected finite positions in obsm["spatial"], got NaN. Remove those spots first.')
    return xy_px[:, :2]


def lattice_of(adata: AnnData) -> tuple[Array | None, Array]:
    """Return (column, row) of each spot on the array, ``None`` without such columns; and a mask of the complete ones.

    Raises
    ------
    DataError
        When more than a few spots have none.
    """
    import pandas as pd

    complete = np.ones(adata.n_obs, dtype=bool)
    if not all(column in adata.obs for column in _ARRAY):
        return None, complete
    table = pd.DataFrame(
        {column: pd.to_numeric(adata.obs[column].astype(object), errors="coerce") for column in _ARRAY}
    )
    lattice_xy = table.to_numpy(dtype=np.float64)
    finite = np.isfinite(lattice_xy)
    complete = finite.all(axis=1)
    if (~complete).sum() > max(1, _WITHOUT * len(complete)):
        row = int(np.argmin(complete))
        column = _ARRAY[int(np.argmin(finite[row]))]
        raise DataError(
            f"Expected numbers in obs['{column}'], got '{adata.obs[column].iloc[row]}' for '{adata.obs_names[row]}' "
            f"and {int((~complete).sum()) - 1} others. Correct the column, or drop it."
        )
    return lattice_xy, complete


def number_of(value: Any, key: str, where: str) -> float:
    """Return a number that R or another language has boxed, as in ``[0.25]`` or ``"0.25"``.

    Raises
    ------
    DataError
        When it is no single number.

    Examples
    --------
    >>> number_of([0.25], "tissue_hires_scalef", "scalefactors_json.json")
    0.25
    """
    inner: Any = np.asarray(value, dtype=object).ravel()
    try:
        if len(inner) != 1 or isinstance(inner[0], bool):
            raise ValueError
        return float(inner[0])
    except (ValueError, TypeError) as error:
        raise DataError(f"Expected a number for {key} in {where}, got {value!r}. Correct it.") from error


def _by_name(stored: Any) -> Any:
    """Return the columns x and y of a table, or an array as it is."""
    if not hasattr(stored, "columns"):
        return stored
    names = [str(name).lower() for name in stored.columns]
    columns = [next((names.index(name) for name in known if name in names), None) for known in (_X, _Y)]
    if None in columns:
        raise DataError(
            f'Expected columns x and y in obsm["spatial"] (or {_X[1]} and {_Y[1]}), got {", ".join(names)}. '
            "Rename them, or give an array with x first."
        )
    return stored.iloc[:, columns]
