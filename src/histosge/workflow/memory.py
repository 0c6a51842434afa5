"""Refuse a fit that cannot fit into memory, before anything is computed."""

from __future__ import annotations

from histosge._runtime.memory import available_bytes
from histosge._runtime.messages import Message
from histosge.errors import UsageError
from histosge.models.base import Model

__all__ = ["fit_bytes", "memory_message"]

_GIB = 2.0**30
# the estimate is no better than this, and other programs come and go
_CERTAIN, _CLOSE = 1.25, 0.8
# for each value of a dense matrix: as it was measured, adjusted, and while it is adjusted
_ADJUSTED_BYTES = 24.0


def fit_bytes(model: Model, spots: int, genes: int, *, depth_adjusted: bool = False) -> float:
    """Return the memory that a fit needs at its peak, in bytes.

    Parameters
    ----------
    model
        The configured model.
    spots
        Of all sections of the fit.
    genes
        Fitted genes.
    depth_adjusted
        Whether expression is adjusted for depth, which leaves no zeros: then no model is given a sparse matrix.
    """
    dense = _ADJUSTED_BYTES * spots * genes if depth_adjusted and model.reads_sparse(spots) else 0.0
    return model.fit_bytes(spots, genes) + dense


def memory_message(
    model: Model,
    spots: int,
    genes: int,
    *,
    needed: float | None = None,
    depth_adjusted: bool = False,
) -> tuple[Message, ...]:
    """Refuse a fit that needs more memory than there is; return a warning where it comes close.

    Parameters
    ----------
    model, spots, genes, depth_adjusted
        As for :func:`fit_bytes`.
    needed
        What the fit needs, in bytes, where it is not made as :func:`fit_bytes` assumes.

    Raises
    ------
    UsageError
        With what it needs, what there is, and how to go on.

    Examples
    --------
    >>> from histosge.models import build_model
    >>> memory_message(build_model("cokriging"), 200, 1000)
    ()
    """
    available = available_bytes()
    if available is None:
        return ()
    own = fit_bytes(model, spots, genes, depth_adjusted=depth_adjusted)
    needed = own if needed is None else needed
    if needed <= _CLOSE * available:
        return ()
    text = (
        f"A fit of {spots} spots × {genes} genes needs about {needed / _GIB:.0f} GiB of memory, and "
        f"{available / _GIB:.0f} GiB are free."
    )
    if needed <= _CERTAIN * available:
        return (Message("warning", f"{text} It may be killed; close other programs, or fit fewer `genes`."),)
    most = max(int(genes * _CLOSE * available / needed), 1)
    raise UsageError(
        f"{text} Fit fewer `genes` (hvg:{most}), larger bins (`bin_um`: twice the width needs a quarter of the "
        "memory), or use a machine with more memory."
    )
