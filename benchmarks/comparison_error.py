"""How often tests between two regions call a gene different where nothing differs, and how often they recognise a step.

    python benchmarks/comparison_error.py fields --seeds 0 1 2 3
    python benchmarks/comparison_error.py tissue --seeds 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19
    python benchmarks/comparison_error.py sections --seeds 0 1 2 3 --paths ../shared/data/her2st/C2

``fields``: smooth random fields of some ranges, with noise, on 14 × 16 spots 100 µm apart; regions are a half, the
parts of a random pattern, a disk, and k-means clusters of the same values. ``power`` adds a step to the first region:
of one standard deviation of field and noise together. Columns are means over the four regions at a level of 0.05 unless
they say otherwise; ``clusters`` is what `compare` would say of the clusters, for which it gives no p-value.

``tissue``: the synthetic tissue (Poisson counts) under cokriging with image features. Regions of the first columns are
random patterns, which have nothing to do with the tissue; of the next, the tumour, with the genes that were permuted
over the spots, and with those that the tumour drives. Tests: ``locations``, Welch's t test with all predicted locations
as samples, upsampled fourfold; ``predicted spots``, the same at the spots alone; ``spots``, the same on measured spots;
``imputed``, generalised least squares on posterior draws at the spots, pooled by Rubin's rules (Rubin 1987) with ten
draws; ``best covariance``, generalised least squares on measured spots with the covariance of the largest likelihood;
``compare``, `hs.tl.compare`; ``patients``, five tissues, left against right, one difference each, paired t test.

``sections``: measured spots of real sections, 300 most variable genes; the regions are 15 random patterns a seed, three
pitches fine, which have nothing to do with the tissue.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import sparse, stats

import histosge as hs
from histosge.datasets.synthetic import Waves
from histosge.evaluation.comparison.spatial_regression import regress
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.workflow.encode import encode

LEVELS = (0.05, 0.01, 0.001)
RANGES_UM = (60.0, 120.0, 250.0, 500.0, 1000.0)
NOISES = (0.3, 2.0)
FIELDS, DRAWS, PATTERNS = 100, 10, 6
CLUSTERS = "clusters of the values"
TESTS = ("locations", "predicted spots", "spots", "imputed", "best covariance", "compare")


def welch(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return p-values of Welch's t test of each column."""
    return np.asarray(stats.ttest_ind(values[first], values[~first], equal_var=False).pvalue)


def best_covariance(values: np.ndarray, first: np.ndarray, xy_um: np.ndarray) -> np.ndarray:
    """Return p-values under the covariance of the largest likelihood alone."""
    result = regress(values, first * 1.0, xy_um)
    return 2 * stats.t.sf(np.abs(result.adjusted) / result.best_error, len(values) - 2)


def imputed(draws: np.ndarray, first: np.ndarray, xy_um: np.ndarray) -> np.ndarray:
    """Return p-values of generalised least squares on draws × spots × genes, pooled by Rubin's rules."""
    fits = [regress(draw, first * 1.0, xy_um) for draw in draws]
    estimate = np.array([fit.adjusted for fit in fits])
    within = np.mean([np.square(fit.best_error) for fit in fits], axis=0)
    between = (1 + 1 / len(draws)) * estimate.var(axis=0, ddof=1)
    freedom = (len(draws) - 1) * np.square(1 + within / np.maximum(between, 1e-12))
    freedom = np.minimum(freedom, draws.shape[1] - 2)
    return 2 * stats.t.sf(np.abs(estimate.mean(axis=0)) / np.sqrt(within + between), freedom)


def hexagonal(columns: int = 14, rows: int = 16) -> np.ndarray:
    """Return positions of spots 100 µm apart."""
    column, row = (part.ravel() for part in np.meshgrid(np.arange(columns), np.arange(rows)))
    return np.column_stack([(column + row % 2 / 2) * 100.0, row * 75**0.5 * 10])


def pattern(xy_um: np.ndarray, length_um: float, rng: np.random.Generator) -> np.ndarray:
    """Return the larger half of a random pattern: a region that no tissue knows of."""
    values = Waves.draw(rng, length_um)(xy_um)
    return values > np.median(values)


def regions_of(xy_um: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and spots of the first region."""
    yield "half", xy_um[:, 0] < np.median(xy_um[:, 0])
    yield "pattern of 300 µm", pattern(xy_um, 300.0, rng)
    yield "pattern of 120 µm", pattern(xy_um, 120.0, rng)
    yield "disk", np.linalg.norm(xy_um - xy_um.mean(axis=0), axis=1) < 300


def fields(seeds: list[int]) -> None:
    """Print error rates and power on smooth random fields."""
    from sklearn.cluster import KMeans

    xy_um = hexagonal()
    rates: dict[tuple[float, float], dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for length_um in RANGES_UM:
            for noise in NOISES:
                drawn = np.column_stack([Waves.draw(rng, length_um)(xy_um) for _ in range(FIELDS)])
                values = drawn + noise * rng.normal(size=drawn.shape)
                regions = dict(regions_of(xy_um, rng))
                labels = KMeans(2, n_init=3, random_state=seed).fit_predict(values)
                for name, first in (regions | {CLUSTERS: labels == 0}).items():
                    if min(first.sum(), (~first).sum()) < 10:
                        continue
                    p = regress(values, first * 1.0, xy_um).p
                    step = (1 + noise**2) ** 0.5 * first[:, None]
                    power = (regress(values + step, first * 1.0, xy_um).p < LEVELS[0]).mean()
                    naive = (welch(values, first) < LEVELS[0]).mean()
                    best = (best_covariance(values, first, xy_um) < LEVELS[0]).mean()
                    rates_of = [(p < level).mean() for level in LEVELS]
                    rates[length_um, noise][name].append([naive, best, *rates_of, power])
    print(
        "| range | noise | t test | best cov. | compare | largest region | at 0.01 | at 0.001 | power | clusters |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for (length_um, noise), by_region in rates.items():
        clusters = np.mean(by_region.pop(CLUSTERS), axis=0)[2]
        regions = np.array([np.mean(rows, axis=0) for rows in by_region.values()])
        means = regions.mean(axis=0)
        printed = [*means[:3], regions[:, 2].max(), *means[3:], clusters]
        print(f"| {length_um:.0f} µm | {noise} | {' | '.join(f'{rate:.3f}' for rate in printed)} |")


def tissue(seeds: list[int]) -> None:
    """Print error rates on the synthetic tissue, and how often genes of the tumour are recognised in it."""
    p_values: dict[str, list[np.ndarray]] = defaultdict(list)
    permuted: dict[str, list[np.ndarray]] = defaultdict(list)
    power: dict[str, list[np.ndarray]] = defaultdict(list)
    differences = []
    for seed in seeds:
        made = hs.synthetic(columns=16, rows=18, genes=60, seed=seed)
        section = permute(made.section, "FLAT", seed)
        fit = hs.fit(section, hs.Recipe(genes="all"))
        locations = hs.upsampled(section, 4)
        inputs = encode(section, locations, needs=fit.model.needs, encoder=fit.encoder, compute=hs.Compute())
        prediction = fit.predictor.factored(fit.inputs(inputs))
        adata = hs.tl.enhance(section, hs.Recipe(genes="all"), upsample=4)
        rng = np.random.default_rng([seed, 1])
        for _ in range(PATTERNS):
            where = pattern(locations.xy, 300.0, rng)
            for name, p in all_tests(adata, prediction, where).items():
                p_values[name].append(p)
        tumour = made.domains(locations.xy) == 0
        driven, flat = (np.char.startswith(prediction.genes, group) for group in ("TUMOUR", "FLAT"))
        for name, p in all_tests(adata, prediction, tumour).items():
            power[name].append(p[driven])
            permuted[name].append(p[flat])
        left = section.spots.xy[:, 0] < np.median(section.spots.xy[:, 0])
        measured = hs.tl.measured_spots(adata).X.toarray()
        differences.append(measured[left].mean(axis=0) - measured[~left].mean(axis=0))
    print("| test | p < 0.05 | p < 0.01 | p < 0.001 | permuted genes, p < 0.05 | tumour genes, p < 0.05 |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in TESTS:
        p = np.concatenate(p_values[name])
        rates = [np.mean(p < level) for level in LEVELS]
        rates += [np.mean(np.concatenate(own[name]) < LEVELS[0]) for own in (permuted, power)]
        print(f"| {name} | {' | '.join(f'{rate:.3f}' for rate in rates)} |")
    groups = [differences[start : start + 5] for start in range(0, len(differences) - 4, 5)]
    if groups:
        p = np.concatenate([stats.ttest_1samp(group, 0.0, axis=0).pvalue for group in groups])
        print(f"| patients | {' | '.join(f'{np.mean(p < level):.3f}' for level in LEVELS)} | | |")


def permute(section: hs.Section, group: str, seed: int) -> hs.Section:
    """Return the section with the counts of the genes of a group permuted over its spots, gene by gene."""
    counts = section.counts.toarray()
    rng = np.random.default_rng([seed, 2])
    for gene in np.flatnonzero(np.char.startswith(section.genes, group)):
        counts[:, gene] = rng.permutation(counts[:, gene])
    counts[counts.sum(axis=1) == 0, 0] = 1
    return replace(section, counts=sparse.csr_matrix(counts))


def sections(paths: list[str], seeds: list[int]) -> None:
    """Print error rates on real sections whose regions are random patterns."""
    print("| section | spots | t test | best covariance | compare | at 0.01 | at 0.001 |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for path in paths:
        section = hs.read(path)
        values = log_cp10k(section.counts, columns=select(section, "hvg:300").columns).toarray()
        xy_um, rows = section.spots.xy, []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            for _ in range(15):
                first = pattern(xy_um, 3 * section.pitch_um, rng)
                p = regress(values, first * 1.0, xy_um).p
                best = best_covariance(values, first, xy_um)
                naive = welch(values, first)
                rates_of = [np.nanmean(part < LEVELS[0]) for part in (naive, best)]
                rows.append([*rates_of, *(np.nanmean(p < level) for level in LEVELS)])
        means = " | ".join(f"{mean:.3f}" for mean in np.mean(rows, axis=0))
        print(f"| {section.name} | {len(section)} | {means} |", flush=True)


def all_tests(adata: object, prediction: hs.FactoredPrediction, where: np.ndarray) -> dict[str, np.ndarray]:
    """Return p-values of all tests, genes in the order of the prediction."""
    observed = adata.obs["observed"].to_numpy()
    genes = list(prediction.genes)
    first, xy_um = where[observed], adata.obsm["spatial_um"][observed]
    values = adata[:, genes].layers["measured"][observed].toarray().astype(np.float64)
    predicted = np.asarray(adata[:, genes].X, dtype=np.float64)
    at_spots = prediction.take(observed)
    draws = np.array(list(at_spots.draws(DRAWS, genes, seed=1)), dtype=np.float64)
    labels = np.where(where, "first", "second")
    return {
        "locations": welch(predicted, where),
        "predicted spots": welch(predicted[observed], first),
        "spots": welch(values, first),
        "imputed": imputed(draws, first, xy_um),
        "best covariance": best_covariance(values, first, xy_um),
        "compare": hs.tl.compare(adata, labels, genes=genes).table["p"].loc[genes].to_numpy(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=("fields", "tissue", "sections"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--paths", nargs="+", default=[])
    options = parser.parse_args()
    if options.study == "sections":
        sections(options.paths, options.seeds)
    else:
        {"fields": fields, "tissue": tissue}[options.study](options.seeds)


if __name__ == "__main__":
    main()
