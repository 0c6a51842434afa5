"""Arrays as text inside a page: quantised with a known error, deflated, in base64."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["Codes", "blob", "quantised", "varints"]

# nearly as small as level 9, in a fifth of the time
_LEVEL = 6


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Numbers as integers: ``low + step · codes``, one ``low`` and one ``step`` a row.

    Parameters
    ----------
    codes
        Unsigned integers of 8 or 16 bits.
    low, step
        One number a row, to decode the codes.
    """

    codes: Array
    low: Float[np.ndarray, " r"]
    step: Float[np.ndarray, " r"]

    @property
    def error(self) -> Float[np.ndarray, " r"]:
        """Largest rounding error: half a step."""
        return self.step / 2

    def about(self) -> dict[str, object]:
        """Return the metadata that the page needs to decode the codes."""
        return {
            "bits": 8 * self.codes.itemsize,
            "low": self.low.astype(float).tolist(),
            "step": self.step.astype(float).tolist(),
        }


def quantised(rows: Float[np.ndarray, "r m"], bits: int, *, from_zero: bool = False) -> Codes:
    """Return each row as integers that span its own range.

    Parameters
    ----------
    rows
        Finite numbers.
    bits
        8 or 16.
    from_zero
        Let the range begin at 0 instead of at the smallest value, for magnitudes.
    """
    kind = np.uint8 if bits == 8 else np.uint16
    top = np.iinfo(kind).max
    rows = np.asarray(rows, dtype=np.float64)
    empty = rows.shape[1] == 0
    low = np.zeros(len(rows)) if from_zero or empty else rows.min(axis=1)
    high = np.zeros(len(rows)) if empty else rows.max(axis=1)
    step = np.maximum(high - low, 1e-12) / top
    codes = np.rint((rows - low[:, None]) / step[:, None])
    return Codes(np.clip(codes, 0, top).astype(kind), low, step)


def blob(content: Array | bytes) -> str:
    """Return bytes, or an array's little-endian bytes, deflated (zlib) and in base64."""
    if isinstance(content, np.ndarray):
        content = np.ascontiguousarray(content.astype(content.dtype.newbyteorder("<"), copy=False)).tobytes()
    return base64.b64encode(zlib.compress(content, _LEVEL)).decode("ascii")


def varints(values: Array) -> bytes:
    """Return non-negative integers below 2²⁸, seven bits a byte, the low ones first; the top bit says more follow."""
    values = np.asarray(values, dtype=np.uint32)
    length = 1 + (values >= 1 << 7).astype(np.intp) + (values >= 1 << 14) + (values >= 1 << 21)
    ends = np.cumsum(length)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    start = ends - length
    for group in range(4):
        has = length > group
        more = np.where(length[has] > group + 1, 0x80, 0)
        out[start[has] + group] = ((values[has] >> np.uint32(7 * group)) & 0x7F) | more
    return out.tobytes()
