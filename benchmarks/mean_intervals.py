"""Share of true means over disks inside their 90 % intervals, on the synthetic tissue, fits of positions."""

from __future__ import annotations

import numpy as np
from scipy.stats import poisson

import histosge as hs
from histosge.models.cokriging.disk_means import disk_points, disk_scores
from histosge.models.gene_order import as_fitted
from histosge.workflow.effective_resolution import _disk_inputs

_WIDTHS, _DISKS, _HALF_WIDTH, _MOST_COUNTS = (25.0, 100.0, 200.0), 300, 1.645, 3000


def main() -> None:
    """Print the mean over genes, by layout and width."""
    layouts = {"Visium": {}, "legacy": {"lattice": "square", "columns": 14, "rows": 16}}
    columns = {}
    for name, options in layouts.items():
        tissue = hs.synthetic(genes=60, support="disk", **options)
        columns[f"{name}, {len(tissue.section)} spots"] = [share for _, share in shares(tissue)]
    print(f"| width | {' | '.join(columns)} |\n|--:|{'--:|' * len(columns)}")
    for width, *row in zip(_WIDTHS, *columns.values(), strict=True):
        print(f"| {width:g} µm | {' | '.join(f'{share:.3f}' for share in row)} |")


def shares(tissue: hs.datasets.synthetic.Synthetic) -> list[tuple[float, float]]:
    """Return the share inside, mean over genes, for each width."""
    section = tissue.section
    fit = hs.fit(section, hs.Recipe("cokriging", "positions", genes="all"))
    predictor = as_fitted(fit.predictor)
    rows = predictor.basis.columns(section.genes.tolist())
    offset, loadings = predictor.basis.offset[rows], predictor.basis.loadings[rows]
    every = hs.grid(section, 40.0)
    locations = every.take(np.sort(np.random.default_rng(0).permutation(len(every))[:_DISKS]))
    resolution = hs.effective_resolution(fit, section, locations=locations, widths_um=_WIDTHS)
    depth = float(np.median(np.asarray(section.counts.sum(axis=1))))
    rows_of_table = []
    for width in _WIDTHS:
        scores, _ = disk_scores(
            predictor, *_disk_inputs(fit, section, locations, width, compute=hs.Compute())
        )
        shift, part_um = disk_points(width, section.spots.diameter_um)
        truth = np.mean(
            [expected(tissue.truth(locations.xy + step, part_um), depth) for step in shift], axis=0
        )
        error = truth - offset - scores @ loadings.T
        sd = np.stack([resolution.sd_at(gene, width) for gene in section.genes], axis=1)
        inside = np.abs(error - error.mean(axis=0)) < _HALF_WIDTH * sd
        rows_of_table.append((width, float(inside[:, np.isfinite(sd).all(axis=0)].mean())))
    return rows_of_table


def expected(truth: np.ndarray, depth: float) -> np.ndarray:
    """Return the expectation of log1p(CP10k) of Poisson counts: for few counts it is not the logarithm of the mean."""
    counts = np.arange(_MOST_COUNTS)
    values = np.log1p(1e4 * counts / depth)
    columns = [poisson.pmf(counts, rates[:, None] * depth / 1e4) @ values for rates in np.expm1(truth.T)]
    return np.stack(columns, axis=1)


if __name__ == "__main__":
    main()
