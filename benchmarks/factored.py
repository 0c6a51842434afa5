"""Size of a whole transcriptome kept as factors, and the time to read it, show a gene, and see what was measured.

    python benchmarks/factored.py [--genes 18000] [--places 200000] [--factors 40] [--spots 5000]

Factors and loadings are drawn with seed 0; random digits are the hardest to pack. Counts are Poisson, some
3600 genes seen a spot. A grid square, 447 × 447 places for 200 000.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy import sparse

from histosge._runtime.provenance import peak_memory_bytes
from histosge.geometry.platforms import SYNTHETIC
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.io.writers import factors
from histosge.prediction.count_allocation import blocks
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.locations import Locations
from histosge.section.section import Section

SPACING_UM = 20.0
REPEATS = 20


def section_of(genes: int, spots: int, rng: np.random.Generator) -> Section:
    names = np.array([f"GENE{i}" for i in range(genes)])
    share = rng.lognormal(0, 2, genes)
    rates = 10_000 * share / share.sum()
    rows = [sparse.csr_matrix(rng.poisson(rates)) for _ in range(spots)]
    side = int(np.ceil(spots**0.5))
    lattice_xy = np.column_stack(np.divmod(np.arange(spots), side)).astype(float)
    points = Points(lattice_xy * 100.0, np.array([f"{i:016d}-1" for i in range(spots)]), 55.0)
    image = np.kron(rng.integers(120, 250, (250, 250, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    slide = SlideImage.from_array(
        image + rng.integers(0, 6, image.shape, dtype=np.uint8), side * 100.0 / 2000
    )
    counts = sparse.csr_matrix(sparse.vstack(rows), dtype=np.float64)
    return Section("random", counts, names, names, points, lattice_xy, None, SYNTHETIC, 0.5, slide)


def places_of(section: Section, n: int) -> Locations:
    side = int(np.ceil(n**0.5))
    index = np.column_stack(np.divmod(np.arange(n), side))
    ids = np.char.add(
        np.char.add("grid_", index[:, 0].astype(str)), np.char.add("_", index[:, 1].astype(str))
    )
    parent = np.arange(n) * len(section) // n
    none = np.full((n, 2), np.nan)
    return Locations(
        Points(index * SPACING_UM, ids, SPACING_UM),
        none,
        parent,
        np.full(n, -1),
        np.zeros(n, bool),
        np.ones(n, bool),
    )


def prediction_of(section: Section, n: int, k: int, rng: np.random.Generator) -> FactoredPrediction:
    g = len(section.genes)
    ones = np.ones(g, np.float32)
    loadings = rng.normal(0, 0.3, (g, k)).astype(np.float32)
    basis = Basis(
        section.genes, ones, loadings, 0.5 * ones, ones, rng.uniform(-0.1, 0.9, g).astype(np.float32)
    )
    scores = rng.normal(size=(n, k)).astype(np.float32)
    score_sd = rng.uniform(0.05, 1, (n, k)).astype(np.float32)
    return FactoredPrediction(places_of(section, n), basis, scores, score_sd, {"seed": 0})


def timed(what: str, work: Callable[[], Any], repeats: int = 1) -> Any:
    wall, processor = [], []
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        result = work()
        wall.append(1e3 * (time.perf_counter() - start))
        processor.append(1e3 * (time.process_time() - busy))
    told = f"{np.median(processor):8.1f} ms of processor, {np.median(wall):8.1f} ms by the clock"
    print(f"{what:34s} {told} (medians of {repeats})")
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("genes", 18_000), ("places", 200_000), ("factors", 40), ("spots", 5_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    section = section_of(asked.genes, asked.spots, rng)
    made = prediction_of(section, asked.places, asked.factors, rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "factors.h5ad"
        timed("write", lambda: factors.write(path, section, made))
        print(
            f"{asked.genes} genes × {asked.places} places × {asked.factors} factors: {path.stat().st_size / 1e6:.1f} MB"
        )
        with h5py.File(path) as file:
            sizes: dict[str, int] = {}
            file.visititems(
                lambda name, item: sizes.update(
                    {name: getattr(getattr(item, "id", None), "get_storage_size", int)()}
                )
            )
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:9]:
            print(f"    {name:40s} {size / 1e6:8.1f} MB")
        found = timed("read", lambda: factors.read(path))
        timed("one gene", lambda: found.gene("GENE777"), REPEATS)
        timed("standard deviation of one gene", lambda: found.gene_sd("GENE777"), REPEATS)
        kept = timed("the section as measured", lambda: factors.section(path))
        some = found.only([str(name) for name in found.genes[:500]])
        for kind in ("real", "rounded", "drawn"):
            shared = blocks(some, kept, kind=kind)
            timed(f"counts of 500 genes, {kind}", lambda shared=shared: sum(block.nnz for block in shared))
    print(
        f"peak memory {peak_memory_bytes() / 1e9:.2f} GB; "
        f"the matrix alone would take {4e-9 * asked.genes * asked.places:.1f} GB"
    )


if __name__ == "__main__":
    main()
