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


def fit_bytes(model: Model, spots: int, genes: int) -> float:
    """Return the memory that a fit needs at its peak, in bytes.

    Parameters
    ----------
    model
        The configured model.
    spots
        Of all sections of the fit.
    genes
        Fitted genes.
    """
    return model.fit_bytes(spots, genes)


def memory_message(
    model: Model, spots: int, genes: int, *, needed: float | None = None
) -> tuple[Message, ...]:
    """Refuse a fit that needs more memory than there is; return a warning where it comes close.

    Parameters
    ----------
    model, spots, genes
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
    needed = fit_bytes(model, spots, genes) if needed is None else needed
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
