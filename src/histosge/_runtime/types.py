"""Array types with their shapes.

A closed vocabulary of shape words: ``n`` points, ``s`` spots, ``g`` genes, ``k`` factors, ``d`` features,
``w m`` windows × members, ``b h w 3`` images, ``2`` = (x, y).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

__all__ = ["Array", "Bool", "Float", "Float32", "Int", "UInt8", "frozen"]

if TYPE_CHECKING:
    Array: TypeAlias = np.ndarray[Any, Any]
else:
    # run-time type checkers want the plain class
    Array = np.ndarray


def frozen(array: Array) -> Array:
    """Return ``array`` as a read-only view, so that a frozen value is frozen all the way down."""
    view = array.view()
    view.flags.writeable = False
    return view
