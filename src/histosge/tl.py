"""Tools, scanpy-shaped: expression at more places than were measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._device import resolve_device, resolve_precision
from ._scverse import Measured, section_of, to_anndata
from .recipe import Recipe
from .target import Target, locate, tissue_of
from .workflow import Machine, fit, predict_at

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["enhance"]


def enhance(
    data: Measured,
    recipe: Recipe | None = None,
    *,
    refine: int | None = None,
    spacing_um: float | None = None,
    device: str = "auto",
    weights: Path | None = None,
    store: Path | None = None,
    **reading: Any,
) -> AnnData:
    """Fit a model to a section and return its predictions at more places, as a new AnnData.

    Parameters
    ----------
    data
        A section, or an AnnData with raw counts, ``obsm["spatial"]`` and an image; it is not changed.
    recipe
        Model, encoder, genes, seed; by default those of ``histosge run``.
    refine, spacing_um
        Places per spot, or the spacing of a grid; ``refine=4`` where neither is given.
    device, weights, store
        As for :class:`histosge.Machine`.
    reading
        ``image``, ``mpp``, ``library_id`` as for :func:`histosge.read`.

    Returns
    -------
    Laid out as ``prediction.h5ad``: ``X`` log1p(CP10k), ``obsm["spatial"]``, ``obs["observed"]`` …

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> hs.tl.enhance(section, hs.Recipe(model="kriging", genes="all"), refine=2).n_obs == 2 * len(section)
    True
    """
    section = section_of(data, **reading)
    where = resolve_device(device)
    machine = Machine(where, resolve_precision("auto", where), weights, store)
    target = Target(refine=4 if refine is None and spacing_um is None else refine, spacing_um=spacing_um)
    fitted = fit(section, recipe or Recipe(), machine)
    places = locate(section, target, tissue_of(section))
    return to_anndata(section, predict_at(fitted, section, places, machine))
