"""Compare the expression of two regions of tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.section.section import Section

from .regions import Regions, circular, labels_of, pair_of
from .result import RegionComparison
from .spatial_regression import regress
from .spots import RegionSpots, name_of, region_spots

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

__all__ = ["ComparisonInput", "compare_regions", "compare_replicates"]

# spots of either region that a test among spots needs: with fewer, p-values of rare genes are too small
_LEAST_SPOTS = 10
# spots of either region of a section that gives one value, and sections or patients that a test needs
_LEAST_OF_SECTION, _LEAST_REPLICATES = 2, 3
# spots with any count that a gene needs
_LEAST_COUNTED = 10
# more spots would need minutes and add little: neighbours repeat each other
_MOST_SPOTS = 1500
# shares of spots in a region that differ by less tell nothing
_SAME_SHARE = 0.05
_CIRCULAR = (
    "These regions were made from the expression that is compared, so that any p-value would be too small: p and q are "
    "empty. Regions from the image, from an annotation or from other sections can be tested."
)
_WITHIN_SECTION = "Spots of one section say nothing of other sections or patients."
_INDEPENDENT = (
    "p and q hold for regions that were neither drawn nor computed from the expression of this section."
)
_RARE = f"counted at fewer than {_LEAST_COUNTED} spots: not tested"
_CONSTANT = "the same at all spots: not tested"


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonInput:
    """A prediction, its regions, and what was measured where the prediction does not hold it."""

    adata: AnnData
    regions: Regions
    section: Section | None = None


def compare_regions(
    source: ComparisonInput, genes: Sequence[str], *, between: Sequence[str] | None = None, seed: int = 0
) -> RegionComparison:
    """Compare two regions of one section; the replicates are its spots.

    Raises
    ------
    UsageError
        For unknown regions or genes, regions that overlap, and regions with too few spots.
    """
    labels = labels_of(source.adata, source.regions)
    pair = pair_of(labels, between)
    spots = region_spots(source.adata, labels, pair, genes, section=source.section)
    _refuse_few(spots, pair, name_of(source.adata), _LEAST_SPOTS)
    chosen = spots.at_most(_MOST_SPOTS, seed)
    result = regress(chosen.values, chosen.share, chosen.xy_um)
    caveats = [_WITHIN_SECTION, _INDEPENDENT]
    if len(chosen) < len(spots):
        caveats.append(f"{len(chosen)} of {len(spots)} spots were chosen at random (`seed`).")
    rare = _caveats_of_genes(chosen.values, counted=True)
    if circular(source.adata, source.regions):
        caveats.append(_CIRCULAR)
    parts = {
        "difference": result.difference,
        "ratio": _ratio(result.second + result.difference, result.second),
        "adjusted_difference": result.adjusted,
        "standard_error": result.standard_error,
        "p": np.where((rare != "") | (_CIRCULAR in caveats), np.nan, result.p),
        "replicates": len(chosen),
        "effective_replicates": result.effective,
        "predicted_difference": spots.predicted,
    }
    test = "generalised least squares, spatial covariance"
    table = _table(genes, parts, rare, test=test)
    return RegionComparison(*pair, "spot", len(chosen), test, tuple(caveats), table)


def compare_replicates(
    sources: Sequence[ComparisonInput],
    replicates: Sequence[str],
    genes: Sequence[str],
    *,
    between: Sequence[str] | None,
    replicate: str,
) -> RegionComparison:
    """Compare two regions over sections or patients: one difference a replicate, tested against 0.

    Raises
    ------
    UsageError
        As :func:`compare_regions`, and for fewer than three replicates.
    """
    names = list(dict.fromkeys(replicates))
    if len(names) < _LEAST_REPLICATES:
        raise UsageError(
            f"Expected at least {_LEAST_REPLICATES} {replicate}s, got {len(names)}. With fewer, compare the spots of "
            "each section (`replicate='spot'`)."
        )
    fingerprints = [str(source.adata.uns["histosge"]["section"]["fingerprint"]) for source in sources]
    if len(set(fingerprints)) < len(fingerprints):
        raise UsageError("Two of the predictions are of the same section. Give each section once.")
    labels = [labels_of(source.adata, source.regions) for source in sources]
    pair = pair_of(np.concatenate(labels), between)
    rows = []
    for source, own in zip(sources, labels, strict=True):
        spots = region_spots(source.adata, own, pair, genes, section=source.section)
        _refuse_few(spots, pair, name_of(source.adata), _LEAST_OF_SECTION)
        share = spots.share / spots.share.sum()
        rest = (1 - spots.share) / (1 - spots.share).sum()
        rows.append((share @ spots.values, rest @ spots.values, spots.predicted))
    means = np.array([np.mean([row for row, own in zip(rows, replicates, strict=True) if own == name], axis=0)
                      for name in names])  # fmt: skip
    test = f"paired t test over {replicate}s"
    is_circular = any(circular(source.adata, source.regions) for source in sources)
    table = _table(genes, *_paired(means, is_circular), test=test)
    caveats = (_CIRCULAR,) if is_circular else (_INDEPENDENT,)
    return RegionComparison(*pair, replicate, len(names), test, caveats, table)


def _paired(means: Array, is_circular: bool) -> tuple[dict[str, Any], Array]:
    """Return the columns and the caveats of the genes from the means of replicates × (first, second, predicted)."""
    from scipy import stats

    difference = means[:, 0] - means[:, 1]
    constant = np.ptp(difference, axis=0) < 1e-12
    caveats = np.where(constant, "the same in all replicates: not tested", "").astype(object)
    p = np.full(difference.shape[1], np.nan)
    p[~constant] = stats.ttest_1samp(difference[:, ~constant], 0.0, axis=0).pvalue
    parts = {
        "difference": difference.mean(axis=0),
        "ratio": _ratio(means[:, 0].mean(axis=0), means[:, 1].mean(axis=0)),
        "adjusted_difference": difference.mean(axis=0),
        "standard_error": difference.std(axis=0, ddof=1) / len(means) ** 0.5,
        "p": np.where(is_circular, np.nan, p),
        "replicates": len(means),
        "effective_replicates": float(len(means)),
        "predicted_difference": means[:, 2].mean(axis=0),
    }
    return parts, caveats


def _refuse_few(spots: RegionSpots, pair: tuple[str, str], section: str, least: int) -> None:
    for name, size in zip(pair, spots.sizes, strict=True):
        # shares of spots add up to 9.999…
        if size < least - 1e-9:
            number = "no measured spot" if size == 0 else f"{size:.3g} measured spots"
            raise UsageError(
                f"Region '{name}' of '{section}' holds {number}; at least {least} are needed, because predicted "
                "locations are not independent samples. Draw it larger."
            )
    if np.ptp(spots.share) < _SAME_SHARE:
        raise UsageError(
            f"All spots of '{section}' hold '{pair[0]}' and '{pair[1]}' in the same shares, so that no spot tells "
            "them apart."
        )


def _caveats_of_genes(values: Array, *, counted: bool) -> Array:
    few = (values > 0).sum(axis=0) < _LEAST_COUNTED
    constant = np.ptp(values, axis=0) == 0
    return np.where(constant, _CONSTANT, np.where(few & counted, _RARE, "")).astype(object)


def _ratio(first: Array, second: Array) -> Array:
    """Return the ratio of CP10k at two means of log1p(CP10k)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.expm1(first) / np.expm1(second)
    return np.where((first > 0) & (second > 0), ratio, np.nan)


def _table(genes: Sequence[str], parts: dict[str, Any], caveats: Array, *, test: str) -> DataFrame:
    import pandas as pd
    from scipy import stats

    table = pd.DataFrame(parts, index=pd.Index(list(genes), name="gene"))
    tested = table["p"].notna().to_numpy()
    q = np.full(len(table), np.nan)
    if tested.any():
        q[tested] = stats.false_discovery_control(table["p"].to_numpy()[tested])
    table.insert(table.columns.get_loc("p") + 1, "q", q)
    return table.assign(test=test, caveat=caveats).sort_values("p", kind="stable")
