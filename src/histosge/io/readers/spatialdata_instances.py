"""Which shape of a SpatialData store each row of a table is of."""

from __future__ import annotations

from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError

__all__ = ["rows_with_shapes"]

# share of the rows of a table without a shape that is left out
_MOST_WITHOUT = 0.01


def rows_with_shapes(table: Any, index: Any, region: str) -> tuple[Array, Array, tuple[Message, ...]]:
    """Return the rows of a table that have a shape, and which shape that is.

    Raises
    ------
    DataError
        For keys that are missing, fractional, or occur twice, and where more than a few have no shape.
    """
    from spatialdata.models import get_table_keys

    key = get_table_keys(table)[2]
    where = f"obs['{key}'] of the table"
    if not index.is_unique:
        raise DataError(f"Expected one shape an id in '{region}', got repeated ids. Correct its index.")
    keys = table.obs[key].to_numpy()
    if table.obs[key].isna().any():
        raise DataError(f"Expected the id of a shape of '{region}' in each row of {where}, got none in some.")
    keys, messages = _like_index(keys, index, where)
    if len(np.unique(keys)) < len(keys):
        raise DataError(f"Expected each shape of '{region}' once in {where}, got some in several rows.")
    known = np.isin(keys, np.asarray(index))
    lost = int((~known).sum())
    if lost > _MOST_WITHOUT * len(keys):
        raise DataError(
            f"{lost} of {len(keys)} ids in {where}, as '{keys[~known][0]}', are of no shape of '{region}' (as "
            f"'{index[0] if len(index) else 'none'}'). Table and shapes do not belong together."
        )
    if lost:
        text = f"{lost} of {len(keys)} rows of the table have no shape in '{region}' and were left out."
        messages = (*messages, Message("warning", text))
    return known, keys[known], messages


def _like_index(keys: Array, index: Any, where: str) -> tuple[Array, tuple[Message, ...]]:
    """Return ids in the type of the index of shapes: 7 for 7.0 and for "7"; fractional numbers are refused."""
    numbers = np.asarray(index).dtype.kind in "iu"
    if keys.dtype.kind == "f":
        if (keys != np.rint(keys)).any():
            raise DataError(
                f"Expected whole numbers in {where}, got {keys[keys != np.rint(keys)][0]}. Correct it."
            )
        return keys.astype(np.int64), ()
    texts = keys.dtype.kind not in "iu"
    if numbers and texts and all(str(name).isdecimal() for name in keys):
        return keys.astype(str).astype(np.int64), (Message("info", f"The numbers in {where} were text."),)
    if not numbers and not texts:
        return keys.astype(str), (
            Message("info", f"The ids in {where} were numbers, those of the shapes text."),
        )
    return keys.astype(str) if texts else keys, ()
