"""Whether detected tiles are what is said of them: realised false-discovery rate and power of `hs.detect`.

    python benchmarks/detection.py blocks ../shared/data/her2st/C2 ../shared/data/mob/MOB1 --seeds 0 1 2
    python benchmarks/detection.py synthetic --seeds 0 1 2
    python benchmarks/detection.py cells ../shared/data/xenium_breast_rep1 --tiles-um 50 100
    python benchmarks/detection.py exchanged ../shared/data/her2st/C2 --seeds 0 1 2

* *blocks*: a quarter of the blocks of 6 pitches is left out before anything is fitted, and tiles are tested there.
  A detected tile is false where the mean of its test spots is not above the threshold. ``--tiles 1 2``: widths in
  pitches; at 1 a tile holds one spot.
* *synthetic*: tiles all over a tissue whose truth is known. False by a new measurement of the spots in the tile
  (Poisson counts, another depth), and by the mean without noise.
* *cells*: Visium's spots are made of half of the molecules of single cells, and all tiles are tested. False by the
  other half of the molecules, in the spots of the tile, and in the whole tile.
* *exchanged*: each spot has the counts of another, so that there is no pattern; tiles detected.

Genes are drawn among the fitted ones that are counted in a tenth of the spots. A row holds means over genes and seeds:
share of false ones among the detected tiles at 0.05, 0.1 and 0.2 (0 where none was detected), share of the true tiles
that were detected, and the same of the naive rule, which takes every tile that is predicted above the threshold.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from reported_accuracy import section_of
from scipy import sparse
from scipy.spatial import cKDTree

import histosge as hs
from histosge.evaluation.fine_truth.pseudo_spots import LEAST_MOLECULES, pseudo_spots
from histosge.evaluation.fine_truth.read_truth import read_truth
from histosge.section.expression import depth, log_cp10k
from histosge.section.splits import blocks
from histosge.section.target import tissue_of
from histosge.section.tiles import Tiles, tiles_at, tiles_of
from histosge.workflow.detection import calibrated

RATES, ABOVE = (0.05, 0.1, 0.2), ("1x", "1.5x", "q0.25", "q0.75")
BLOCK_PITCHES, BLOCK_SHARE, EXPRESSED = 6, 0.25, 0.1
# more tiles and genes would not change the table
GENES = 40


@dataclass
class Realised:
    """Shares of false tiles and of true ones that were detected, one row a gene."""

    false: list[list[float]] = field(default_factory=list)
    power: list[list[float]] = field(default_factory=list)
    detected: list[list[int]] = field(default_factory=list)
    true: list[float] = field(default_factory=list)

    def add(self, detection: hs.Detection, truth: np.ndarray) -> None:
        """Compare detected tiles with what is so; tiles of which it is not known are left out."""
        for row, limit in enumerate(detection.above):
            known = np.isfinite(truth[:, row])
            true = truth[known, row] > limit
            chosen = [detection.q[known, row] <= rate for rate in RATES]
            chosen.append(detection.mean[known, row] > limit)
            self.false.append([float((part & ~true).sum() / max(part.sum(), 1)) for part in chosen])
            self.power.append([float((part & true).sum() / max(true.sum(), 1)) for part in chosen])
            self.detected.append([int(part.sum()) for part in chosen])
            self.true.append(float(true.mean()))

    def line(self, name: str) -> str:
        """Return a row of the table."""
        false, power = np.mean(self.false, axis=0), np.mean(self.power, axis=0)
        cells = [f"{value:.3f}" for value in false[:3]] + [f"{value:.2f}" for value in power[:3]]
        cells += [f"{false[3]:.3f}", f"{power[3]:.2f}", f"{np.mean(self.true):.2f}"]
        cells += [f"{np.mean([row[1] > 0 for row in self.detected]):.2f}", str(len(self.false))]
        return f"| {name} | {' | '.join(cells)} |"


def drawn_genes(fit: hs.workflow.fit.Fit, section: hs.Section, number: int) -> np.ndarray:
    """Return some of the fitted genes that are counted in a tenth of the spots."""
    counted = np.asarray((section.counts[:, section.columns(fit.genes)] > 0).mean(axis=0)).ravel()
    names = np.sort(fit.genes[counted >= EXPRESSED])
    return np.sort(np.random.default_rng(0).permutation(names)[:number])


def means_of(values: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """Return the mean of the values of each tile, numbered from 0."""
    members = sparse.csr_matrix((np.ones(len(tiles)), (tiles, np.arange(len(tiles)))))
    return np.asarray(members @ values / np.bincount(tiles)[:, None])


def tables_of_blocks(options: argparse.Namespace) -> Iterator[tuple[str, str, hs.Detection, np.ndarray]]:
    """Test tiles in blocks that were not fitted; yield names of rows, thresholds, detections and the truth."""
    for path in options.sections:
        section = section_of(str(path))
        # drawn in the order of the names
        section = section.take(np.argsort(section.spots.ids, kind="stable"))
        pitch = section.pitch_um
        for seed in options.seeds:
            split = blocks(section.spots.xy, width_um=BLOCK_PITCHES * pitch, fraction=BLOCK_SHARE, seed=seed)
            left, xy_um = section.take(split.training), section.spots.xy[split.test]
            fit = hs.fit(left, hs.Recipe(options.model, seed=seed), compute=options.compute)
            genes = drawn_genes(fit, left, options.genes)
            measured = log_cp10k(section.counts, columns=section.columns(genes)).toarray()[split.test]
            for pitches in options.tiles:
                centres, truth = tiles_of_test_spots(xy_um, measured, pitches, pitch)
                tiles = tiles_at(left, centres, pitches * pitch, anywhere=True)
                try:
                    tested = calibrated(fit, left, genes, tiles, seed=seed, compute=options.compute)
                except hs.UsageError as error:
                    print(f"{path.name}, seed {seed}: {error}", flush=True)
                    continue
                for above in options.above:
                    name = f"{path.name}, {pitches * pitch:.0f} µm"
                    yield name, above, tested.detect(above, RATES[1]), truth


def tiles_of_test_spots(
    xy_um: np.ndarray, measured: np.ndarray, pitches: float, pitch_um: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres of tiles over the test spots, and what these measured in each."""
    if pitches < 1.5:
        return xy_um, measured
    width = pitches * pitch_um
    square, tile = np.unique(np.floor(xy_um / width), axis=0, return_inverse=True)
    tile = np.ravel(tile)
    enough = np.bincount(tile) >= 0.5 * pitches**2
    return (square[enough] + 0.5) * width, means_of(measured, tile)[enough]


def tables_of_synthetic(options: argparse.Namespace) -> Iterator[tuple[str, str, hs.Detection, np.ndarray]]:
    """Yield the same for synthetic tissue, by a new measurement and without noise."""
    for width in options.tiles_um:
        for seed in options.seeds:
            tissue = hs.synthetic(columns=20, rows=24, genes=120, seed=seed, support="disk")
            section = tissue.section
            fit = hs.fit(section, hs.Recipe(options.model, genes="all", seed=seed), compute=options.compute)
            genes = drawn_genes(fit, section, options.genes)
            tiles = tiles_of(section, width, mask=tissue_of(section))
            tested = calibrated(fit, section, genes, tiles, seed=seed, compute=options.compute)
            columns = section.columns(genes)
            known = tissue.truth(tiles.points.xy, section.spots.diameter_um)
            rng = np.random.default_rng([seed, 7])
            deep = rng.choice(depth(section.counts), len(known))
            counts = sparse.csr_matrix(rng.poisson(deep[:, None] * np.expm1(known) / 1e4).astype(float))
            again = means_of(log_cp10k(counts, columns=columns).toarray(), tiles.tile)
            for above in options.above:
                detection = tested.detect(above, RATES[1])
                yield f"synthetic, {width:g} µm, measured again", above, detection, again
                yield (
                    f"synthetic, {width:g} µm, without noise",
                    above,
                    detection,
                    means_of(known[:, columns], tiles.tile),
                )


def tables_of_cells(options: argparse.Namespace) -> Iterator[tuple[str, str, hs.Detection, np.ndarray]]:
    """Yield the same for spots made of single cells, by molecules that no spot has."""
    for path in options.sections:
        cells = read_truth(path)
        for seed in options.seeds:
            spots = pseudo_spots(cells, "visium", seed=seed)
            section, other = spots.section, spots.other_half
            fit = hs.fit(section, hs.Recipe(options.model, genes="all", seed=seed), compute=options.compute)
            genes = drawn_genes(fit, section, options.genes)
            columns = section.columns(genes)
            for width in options.tiles_um:
                tiles = tiles_of(section, width, mask=tissue_of(section))
                tested = calibrated(fit, section, genes, tiles, seed=seed, compute=options.compute)
                disks = counts_within(other, tiles.points.xy, section.spots.diameter_um / 2, np.inf)
                again = measured_means(disks, columns, tiles)
                whole = counts_within(other, tiles.centres_um, width / 2 * 2**0.5, width / 2)
                in_tile = np.where(
                    depth(whole)[:, None] >= LEAST_MOLECULES,
                    log_cp10k(whole, columns=columns).toarray(),
                    np.nan,
                )
                for above in options.above:
                    detection = tested.detect(above, RATES[1])
                    yield f"{cells.name}, {width:g} µm, spots of the other half", above, detection, again
                    yield f"{cells.name}, {width:g} µm, whole tile", above, detection, in_tile


def counts_within(
    cells: object, centres_um: np.ndarray, radius_um: float, half_um: float
) -> sparse.csr_matrix:
    """Return the counts of the cells within a radius, and within half a width along both axes, of each centre."""
    lists = cKDTree(cells.points.xy).query_ball_point(centres_um, radius_um)
    rows = np.repeat(np.arange(len(lists)), list(map(len, lists)))
    members = np.concatenate([np.asarray(part, dtype=np.intp) for part in lists])
    inside = (np.abs(cells.points.xy[members] - centres_um[rows]) <= half_um).all(axis=1)
    shape = (len(centres_um), len(cells.points.xy))
    return sparse.csr_matrix(
        sparse.csr_matrix((np.ones(inside.sum()), (rows[inside], members[inside])), shape=shape)
        @ cells.counts
    )


def measured_means(counts: sparse.csr_matrix, columns: np.ndarray, tiles: Tiles) -> np.ndarray:
    """Return the mean of the spots of each tile; NaN where one of them has too few molecules."""
    values = log_cp10k(counts, columns=columns).toarray()
    values[depth(counts) < LEAST_MOLECULES] = np.nan
    return means_of(values, tiles.tile)


def exchanged(options: argparse.Namespace) -> None:
    """Print how many tiles are detected without any pattern, and with it."""
    print(
        "| section | above | genes | exchanged: with any | tiles a gene | as it is: with any | tiles a gene |\n"
        "|---|---|--:|--:|--:|--:|--:|"
    )
    for path in options.sections:
        section = section_of(str(path))
        counted = defaultdict(list)
        for seed in options.seeds:
            order = np.random.default_rng(seed).permutation(len(section))
            for name, own in (
                ("exchanged", replace(section, counts=section.counts[order])),
                ("as it is", section),
            ):
                fit = hs.fit(own, hs.Recipe(options.model, seed=seed), compute=options.compute)
                genes = drawn_genes(fit, own, options.genes)
                tiles = tiles_of(own, own.pitch_um, mask=tissue_of(own))
                tested = calibrated(fit, own, genes, tiles, seed=seed, compute=options.compute)
                for above in options.above:
                    counted[above, name] += tested.detect(above, RATES[1]).detected.sum(axis=0).tolist()
        for above in options.above:
            cells = [str(len(counted[above, "exchanged"]))]
            for name in ("exchanged", "as it is"):
                number = np.array(counted[above, name])
                cells += [f"{(number > 0).mean():.3f}", f"{number.mean():.2f}"]
            print(f"| {path.name} | {above} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["blocks", "synthetic", "cells", "exchanged"])
    parser.add_argument("sections", nargs="*", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--tiles", nargs="+", type=float, default=[1.0, 2.0], help="widths in pitches")
    parser.add_argument("--tiles-um", nargs="+", type=float, default=[50.0, 100.0])
    parser.add_argument("--above", nargs="+", default=list(ABOVE))
    parser.add_argument("--genes", type=int, default=GENES)
    parser.add_argument("--model", default="cokriging")
    parser.add_argument("--store", type=Path, help="folder for image features")
    options = parser.parse_args()
    options.compute = hs.Compute(store=options.store)
    if options.kind == "exchanged":
        exchanged(options)
        return
    tables = {"blocks": tables_of_blocks, "synthetic": tables_of_synthetic, "cells": tables_of_cells}
    rows: dict[str, dict[str, Realised]] = defaultdict(lambda: defaultdict(Realised))
    for name, above, detection, truth in tables[options.kind](options):
        rows[name][above].add(detection, truth)
        rows[name]["all"].add(detection, truth)
    heads = ["tiles", "above", "FDR at 0.05", "0.1", "0.2", "power at 0.05", "0.1", "0.2"]
    heads += ["naive FDR", "naive power", "true", "with any", "genes"]
    print(f"| {' | '.join(heads)} |")
    print(f"|---|---|{'--:|' * 11}")
    for name, by_threshold in rows.items():
        for above, realised in by_threshold.items():
            print(realised.line(f"{name} | {above}"))


if __name__ == "__main__":
    main()
