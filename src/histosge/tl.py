"""Tools, scanpy-shaped: expression at more locations than were measured, and spatial domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._anndata import Measured, section_of, to_anndata, write
from ._runtime.device import resolve_device
from ._runtime.messages import emit
from ._runtime.types import Array
from .domains import DomainInput, Runtime, build_method, find_domains
from .section.section import Section
from .section.target import Target, locate, tissue_of
from .workflow.compute import Compute
from .workflow.domain_input import from_adata
from .workflow.fit import fit
from .workflow.predict import predict
from .workflow.provenance import provenance_of
from .workflow.recipe import Recipe

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["domains", "enhance"]


def domains(
    data: Measured,
    method: str = "stagate",
    *,
    clusters: int | None = None,
    key_added: str | None = None,
    values: str | None = None,
    seed: int = 0,
    device: str = "auto",
    **options: Any,
) -> Array:
    """Divide a tissue into spatial domains.

    Parameters
    ----------
    data
        A section, an AnnData with raw counts, or one that :func:`enhance` or ``histosge run`` made; an AnnData
        also receives the domains as categories in ``obs[key_added]``.
    method
        See ``histosge list domains``.
    clusters
        How many domains; only ``leiden`` chooses that itself.
    key_added
        Default ``domains_<method>``.
    values
        Of predictions: ``"predicted"`` (default) or ``"measured"``, which divides the measured spots alone.
    seed, device
        The same seed gives the same domains on a CPU.
    options
        Fields of the method, such as ``epochs=500``.

    Returns
    -------
    One label per location: ``"0"`` is the largest domain.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=10, rows=10, genes=30).section
    >>> len(set(hs.tl.domains(section, "kmeans", clusters=3)))
    3
    """
    configured = build_method(method, **options)
    if isinstance(data, Section):
        expression = DomainInput.measured(data, genes=configured.genes)
    else:
        expression = from_adata(data, "the AnnData", values=values, genes=configured.genes).input
    runtime = Runtime(resolve_device(device))
    result = find_domains(expression, configured, clusters=clusters, seeds=(seed,), runtime=runtime)
    emit(result.messages)
    labels = result.labels[0].astype(str)
    if not isinstance(data, Section):
        summary = {"method": method, "clusters": len(set(labels)), "seed": seed}
        summary |= {"values": expression.description}
        write(data, key_added or f"domains_{method}", rows=expression.ids, values=labels, summary=summary)
    return np.asarray(labels)


def enhance(
    data: Measured,
    recipe: Recipe | None = None,
    *,
    upsample: int | None = None,
    spacing_um: float | None = None,
    device: str = "auto",
    weights: Path | None = None,
    store: str | Path | None = None,
    auxiliary: Sequence[Measured] = (),
    **reading: Any,
) -> AnnData:
    """Fit a model to a section and return its predictions at more locations, as a new AnnData.

    Parameters
    ----------
    data
        A section, or an AnnData with raw counts, ``obsm["spatial"]`` and an image; it is not changed.
    recipe
        Model, encoder, genes, seed; by default those of ``histosge run``.
    upsample, spacing_um
        Locations per spot, or the spacing of a grid in µm; ``upsample=4`` where neither is given.
    device, weights, store
        As for :class:`histosge.Compute`.
    auxiliary
        Further sections of similar tissue, fitted too.
    reading
        ``image``, ``mpp``, ``library_id`` of ``data``, as for :func:`histosge.read`.

    Returns
    -------
    Laid out as ``prediction.h5ad``: ``X`` log1p(CP10k), ``obsm["spatial"]``, ``obs["observed"]``, and in
    ``uns["histosge"]`` how it was made …

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> hs.tl.enhance(section, hs.Recipe(model="kriging", genes="all"), upsample=2).n_obs == 2 * len(section)
    True
    """
    section = section_of(data, **reading)
    compute = Compute(device=device, weights=weights, store=store)
    target = Target(
        upsample=4 if upsample is None and spacing_um is None else upsample, spacing_um=spacing_um
    )
    others = [section_of(auxiliary_section) for auxiliary_section in auxiliary]
    result = fit(section, recipe or Recipe(), compute=compute, auxiliary=others)
    locations = locate(section, target, tissue_of(section))
    provenance = provenance_of(section, result, target=target, locations=locations, compute=compute)
    prediction = predict(result, section, locations, compute=compute)
    return to_anndata(section, replace(prediction, provenance=provenance))


def __dir__() -> list[str]:
    return sorted(__all__)
