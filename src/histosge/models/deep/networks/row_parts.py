"""Part of a network on many rows in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["in_row_parts"]


def in_row_parts(
    function: Callable[[Tensor], Tensor], values: Tensor, rows: int, *, training: bool
) -> Tensor:
    """Return the function of values, computed for ``rows`` of them at a time where there are more than twice as many.

    Parameters
    ----------
    function
        Of each row alone.
    values
        First dimension: rows.
    rows
        Whose intermediate values fit into memory.
    training
        Whether intermediate values are computed again for the gradient (Chen et al. 2016), a third more time, as they
        would be kept for all rows otherwise. Few rows keep them.
    """
    if len(values) <= 2 * rows:
        return function(values)
    parts = torch.split(values, rows)
    if training:
        return torch.cat([checkpoint(function, part, use_reentrant=False) for part in parts])
    return torch.cat([function(part) for part in parts])
