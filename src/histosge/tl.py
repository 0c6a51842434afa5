"""Tools, scanpy-shaped: expression at more locations than were measured, spatial domains, regions compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ._runtime.device import resolve_device
from ._runtime.messages import emit
from ._runtime.types import Array
from .domains import DEFAULT_METHOD, DomainInput, Runtime, build_method, find_domains
from .errors import UsageError
from .evaluation.comparison.compare import ComparisonInput, compare_regions, compare_replicates
from .evaluation.comparison.regions import Regions
from .evaluation.comparison.result import RegionComparison
from .io.anndata_objects import Measured, section_of, to_anndata
from .io.layout.prediction_table import fitted_genes
from .metrics.morans import neighbour_means
from .prediction.detection import Detection
from .section.section import Section
from .section.target import Target, locate, tissue_of
from .workflow.compute import Compute
from .workflow.detection import detect as detect_in
from .workflow.detection import recipe_with
from .workflow.domain_input import from_adata
from .workflow.domains import add_domains
from .workflow.fit import fit
from .workflow.predict import predict
from .workflow.predicted_section import measured_and_recipe
from .workflow.provenance import provenance_of
from .workflow.recipe import Recipe

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

__all__ = ["compare", "detect", "domains", "enhance", "measured_spots", "spatially_variable"]


def compare(
    prediction: AnnData | Sequence[AnnData],
    regions: Regions,
    *,
    between: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    section: Measured | Sequence[Measured] | None = None,
    replicate: Literal["spot", "section", "patient"] = "spot",
    patients: Sequence[str] | None = None,
    seed: int = 0,
) -> RegionComparison:
    """Compare the expression of genes in two regions, domains or classes of cells.

    The test uses measured spots alone. Predicted locations repeat what the spots say: they decide which part of a spot
    lies in which region, and their difference is in the table, but they add no replicate. Differences are those of
    log1p(CP10k), which depth changes too (:doc:`/results/depth`).

    Parameters
    ----------
    prediction
        An AnnData as :func:`enhance` and ``histosge run`` make it (``prediction.h5ad``); several with ``replicate`` of
        section or patient.
    regions
        A column of ``obs`` (locations without a label are in no region), one label a location, a GeoJSON file of
        QuPath, or polygons by name: corners in µm (m × 2) or shapes of shapely. For several predictions a column, or
        a list with the regions of each.
    between
        Names of the two regions; by default the two that there are. With one region the second is ``"the rest"``.
    genes
        Names; by default all that were predicted in each.
    section
        What was measured, where the prediction holds no measured spots (a grid, cells), or where regions are finer
        than spots: a spot that both regions share then counts in both by its shares.
    replicate
        ``"spot"``: spots of one section, with the covariance of their residuals over the tissue
        (:func:`~histosge.evaluation.comparison.spatial_regression.regress`). ``"section"``, ``"patient"``: one
        difference each, and a paired t test; sections of a patient are averaged.
    patients
        Patient of each prediction.
    seed
        Of the choice of 1500 spots where there are more.

    Returns
    -------
    Its ``table`` has one row a gene, with difference, ratio, standard error, p, q and number of replicates. p and q are
    empty for regions that were made from the same expression (:func:`domains`, clusters of scanpy).

    Raises
    ------
    UsageError
        For unknown regions or genes, regions that overlap or hold fewer than 10 spots (2 of each section), fewer than 3
        sections or patients, and predictions without measured spots.

    Examples
    --------
    >>> import numpy as np
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=10, rows=10, genes=12).section
    >>> enhanced = hs.tl.enhance(section, hs.Recipe(model="kriging", genes="all"), upsample=2)
    >>> left = enhanced.obsm["spatial_um"][:, 0] < 600
    >>> hs.tl.compare(enhanced, np.where(left, "left", "right")).replicates == len(section)
    True
    """
    several = isinstance(prediction, Sequence)
    predictions = list(prediction) if isinstance(prediction, Sequence) else [prediction]
    if not predictions:
        raise UsageError("Expected a prediction, got an empty list.")
    for adata in predictions:
        _refuse_no_prediction(adata)
    own = _per_prediction(regions, len(predictions)) if several and not isinstance(regions, str) else None
    sections = [None] * len(predictions) if section is None else _per_prediction(section, len(predictions))
    sources = [
        ComparisonInput(
            adata,
            regions if own is None else own[i],
            None if sections[i] is None else section_of(sections[i]),
        )
        for i, adata in enumerate(predictions)
    ]
    names = (
        _common_genes(predictions)
        if genes is None
        else genes
        if isinstance(genes, str)
        else [str(gene) for gene in genes]
    )
    if replicate == "spot":
        if len(sources) != 1:
            raise UsageError(
                f"Spots are replicates within one section, got {len(sources)} predictions. Take `replicate` of section "
                "or patient."
            )
        return compare_regions(sources[0], names, between=between, seed=seed)
    replicates = _replicates(replicate, patients, len(sources))
    return compare_replicates(sources, replicates, names, between=between, replicate=replicate)


def detect(
    data: Measured,
    genes: str | Sequence[str],
    *,
    above: float | str,
    tile_um: float,
    fdr: float = 0.1,
    section: Measured | None = None,
    recipe: Recipe | None = None,
    compute: Compute = Compute(),
    **reading: Any,
) -> Detection:
    """Find the tiles of a tissue in which a gene is above a threshold, with a bounded share of false ones.

    The model is fitted, and again without parts of the tissue to calibrate: :func:`histosge.detect` with a fit.

    Parameters
    ----------
    data
        A section, an AnnData with raw counts, or a prediction of :func:`enhance`: its recipe is fitted to ``section``.
    genes, above, tile_um, fdr, compute
        As for :func:`histosge.detect`, which raises the same errors. Genes that the recipe leaves out are fitted too.
    section
        What was measured, with ``data`` a prediction.
    recipe
        What to fit, and the seed; by default the prediction's, else that of ``histosge run``.
    reading
        As for :func:`histosge.read`.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=10, rows=10, genes=12).section
    >>> recipe = hs.Recipe(preset="positions", genes="all")
    >>> hs.tl.detect(section, "TUMOUR1", above="1x", tile_um=100, recipe=recipe).genes.tolist()
    ['TUMOUR1']
    """
    measured, own = measured_and_recipe(data, section, **reading)
    recipe = recipe_with(recipe or own, genes, measured)
    fitted = fit(measured, recipe, compute=compute)
    options: dict[str, Any] = {"tile_um": tile_um, "fdr": fdr, "seed": recipe.seed, "compute": compute}
    return detect_in(fitted, measured, genes, above=above, **options)


def measured_spots(prediction: AnnData) -> AnnData:
    """Return the measured spots of a prediction as a new AnnData: log1p(CP10k) in ``X``, raw counts in a layer.

    Tests of other packages that take each row for a sample hold for these rows alone.

    Raises
    ------
    UsageError
        For an AnnData that is no prediction, and for a prediction without measured spots.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> enhanced = hs.tl.enhance(section, hs.Recipe(model="kriging", genes="all"), upsample=2)
    >>> hs.tl.measured_spots(enhanced).n_obs == len(section)
    True
    """
    _refuse_no_prediction(prediction)
    observed = prediction.obs["observed"].to_numpy(dtype=bool)
    if not observed.any():
        raise UsageError("Expected measured spots, got predicted locations alone. Take the measured section.")
    spots = prediction[observed].copy()
    spots.X = spots.layers["measured"].copy()
    del spots.uns["histosge"], spots.layers["measured"]
    spots.layers.pop("sd", None)
    return spots


def spatially_variable(data: AnnData) -> DataFrame:
    """Test which genes vary over the tissue: Moran's I of measured spots, by squidpy.

    Parameters
    ----------
    data
        Measured and normalised expression, as :func:`measured_spots` returns it. Predictions are refused: they are
        smooth by construction, and so is every gene on them.

    Returns
    -------
    One row a gene, as ``squidpy.gr.spatial_autocorr`` returns it.

    Raises
    ------
    UsageError
        For predictions, and where squidpy is not installed.
    """
    if "histosge" in data.uns:
        raise UsageError(
            "Predicted locations are not independent samples: on a predicted map every gene varies over the tissue. "
            "Test what was measured: `hs.tl.spatially_variable(hs.tl.measured_spots(prediction))`."
        )
    try:
        import squidpy
    except ImportError as error:
        raise UsageError("This test needs squidpy: `pip install squidpy`.") from error
    spots = data.copy()
    key = "spatial_um" if "spatial_um" in spots.obsm else "spatial"
    spots.obsp["spatial_connectivities"] = neighbour_means(np.asarray(spots.obsm[key], dtype=np.float64))
    table: DataFrame = squidpy.gr.spatial_autocorr(spots, mode="moran", copy=True)
    return table


def domains(
    data: Measured,
    method: str | None = None,
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
        A section, an AnnData with raw counts, or one that :func:`enhance` or ``histosge run`` made. An AnnData also
        receives the domains as categories in ``obs[key_added]`` (locations beyond the tissue have none), their
        confidence in ``obs[key_added + "_confidence"]`` and the criterion of their number in ``uns[key_added]``, where
        the method has them.
    method
        See ``histosge list domains``; by default ``spatial_mixture``.
    clusters
        How many domains; by default ``spatial_mixture`` and ``leiden`` choose, the others need it.
    key_added
        Default ``domain``, with a named method ``domains_<method>``.
    values
        Of predictions: ``"predicted"`` (default) or ``"measured"``, which divides the measured spots alone.
    seed, device
        The same seed gives the same domains on one kind of CPU, with the same libraries and number of threads.
    options
        Fields of the method, such as ``epochs=500``.

    Returns
    -------
    One label per location: ``"0"`` is the largest domain, ``""`` is none (beyond the tissue, or where none was asked).

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=10, rows=10, genes=30).section
    >>> len(set(hs.tl.domains(section, "kmeans", clusters=3)))
    3
    """
    configured = build_method(method or DEFAULT_METHOD, **options)
    if isinstance(data, Section):
        expression = DomainInput.measured(data, genes=configured.genes)
    else:
        expression = from_adata(data, "the AnnData", values=values, genes=configured.genes).input
    runtime = Runtime(resolve_device(device))
    result = find_domains(expression, configured, clusters=clusters, seeds=(seed,), runtime=runtime)
    emit(result.messages)
    if isinstance(data, Section):
        return np.asarray(result.domain.astype(str))
    return add_domains(data, result, key_added or ("domain" if method is None else f"domains_{method}"))


def enhance(
    data: Measured,
    recipe: Recipe | None = None,
    *,
    upsample: int | None = None,
    spacing_um: float | None = None,
    device: str = "auto",
    weights: Path | Mapping[str, Path] | None = None,
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


def _refuse_no_prediction(data: Any) -> None:
    if not hasattr(data, "uns") or "histosge" not in data.uns or "measured" not in data.layers:
        raise UsageError(
            f"Expected a prediction (`hs.tl.enhance`, prediction.h5ad), got {type(data).__name__} without one."
        )
    if data.X is None:
        raise UsageError(
            "Expected predicted genes in `X`, got factors. Take the prediction.h5ad of the same run."
        )


def _per_prediction(values: Any, number: int) -> list[Any]:
    """Return one value a prediction."""
    if number == 1 and not isinstance(values, (list, tuple)):
        return [values]
    if not isinstance(values, (list, tuple)) or len(values) != number:
        raise UsageError(f"Expected a list of {number}, one a prediction, got {type(values).__name__}.")
    return list(values)


def _common_genes(predictions: Sequence[AnnData]) -> list[str]:
    """Return the fitted genes that are in all predictions: others must not change corrections for many tests."""
    common = set.intersection(*(set(fitted_genes(adata)) for adata in predictions))
    names = [str(name) for name in predictions[0].var_names if name in common]
    if not names:
        raise UsageError("Expected genes that all predictions share, got none.")
    return names


def _replicates(replicate: str, patients: Sequence[str] | None, number: int) -> list[str]:
    """Return the replicate of each prediction."""
    if replicate == "section":
        return [str(i) for i in range(number)]
    if replicate != "patient":
        raise UsageError(f"Expected `replicate` of spot, section or patient, got '{replicate}'.")
    if patients is None or isinstance(patients, str) or len(patients) != number:
        raise UsageError(f"Expected the patient of each of {number} predictions in `patients`.")
    return [str(patient) for patient in patients]


def __dir__() -> list[str]:
    return sorted(__all__)
