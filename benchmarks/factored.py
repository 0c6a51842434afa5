"""Size of a whole transcriptome kept as factors, and the time to read it, return a gene, and allocate counts.

    python benchmarks/factored.py [--genes 18000] [--locations 200000] [--factors 40] [--spots 5000]

Factor scores and loadings are random with seed 0; random digits are the hardest to compress. Counts are Poisson, some
3600 genes detected per spot. The locations are a square grid, 447 × 447 for 200 000.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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
T = TypeVar("T")


def random_section(genes: int, spots: int, rng: np.random.Generator) -> Section:
    """Return a section of a square lattice with Poisson counts and a noisy image."""
    names = np.array([f"GENE{i}" for i in range(genes)])
    abundance = rng.lognormal(0, 2, genes)
    rates = 10_000 * abundance / abundance.sum()
    rows = [sparse.csr_matrix(rng.poisson(rates)) for _ in range(spots)]
    side = int(np.ceil(spots**0.5))
    lattice_xy = np.column_stack(np.divmod(np.arange(spots), side)).astype(float)
    points = Points(lattice_xy * 100.0, np.array([f"{i:016d}-1" for i in range(spots)]), 55.0)
    image = np.kron(rng.integers(120, 250, (250, 250, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    noise = rng.integers(0, 6, image.shape, dtype=np.uint8)
    slide = SlideImage.from_array(image + noise, side * 100.0 / 2000)
    counts = sparse.csr_matrix(sparse.vstack(rows), dtype=np.float64)
    return Section(
        "random",
        counts,
        names,
        names,
        spots=points,
        lattice_xy=lattice_xy,
        lattice=None,
        platform=SYNTHETIC,
        mpp=0.5,
        slide=slide,
    )


def square_grid(section: Section, n: int) -> Locations:
    """Return a square grid of locations, whose parents are the spots in their order."""
    side = int(np.ceil(n**0.5))
    index = np.column_stack(np.divmod(np.arange(n), side))
    row, column = index.astype(str).T
    ids = np.char.add(np.char.add("grid_", row), np.char.add("_", column))
    return Locations(
        Points(index * SPACING_UM, ids, SPACING_UM),
        lattice_xy=np.full((n, 2), np.nan),
        parent=np.arange(n) * len(section) // n,
        subspot=np.full(n, -1),
        observed=np.zeros(n, bool),
        in_tissue=np.ones(n, bool),
    )


def random_prediction(section: Section, n: int, k: int, rng: np.random.Generator) -> FactoredPrediction:
    """Return a prediction of ``k`` random factors at ``n`` locations."""
    g = len(section.genes)
    ones = np.ones(g, np.float32)
    loadings = rng.normal(0, 0.3, (g, k)).astype(np.float32)
    r_loo = rng.uniform(-0.1, 0.9, g).astype(np.float32)
    basis = Basis(section.genes, ones, loadings, noise_sd=0.5 * ones, calibration_factor=ones, r_loo=r_loo)
    scores = rng.normal(size=(n, k)).astype(np.float32)
    score_sd = rng.uniform(0.05, 1, (n, k)).astype(np.float32)
    return FactoredPrediction(square_grid(section, n), basis, scores, score_sd)


def timed(label: str, work: Callable[[], T], repeats: int = 1) -> T:
    """Do the work, print the median of its durations, and return its result."""
    wall, cpu = [], []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        result = work()
        wall.append(1e3 * (time.perf_counter() - start))
        cpu.append(1e3 * (time.process_time() - cpu_start))
    times = f"{np.median(cpu):8.1f} ms CPU, {np.median(wall):8.1f} ms wall"
    print(f"{label:34s} {times} (medians of {repeats})")
    return result


def print_sizes(path: Path) -> None:
    """Print the size of a file and of its largest parts."""
    print(f"file: {path.stat().st_size / 1e6:.1f} MB")
    sizes: dict[str, int] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            sizes[name] = item.id.get_storage_size()

    with h5py.File(path) as file:
        file.visititems(visit)
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:9]:
        print(f"    {name:40s} {size / 1e6:8.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = (("--genes", 18_000), ("--locations", 200_000), ("--factors", 40), ("--spots", 5_000))
    for name, default in defaults:
        parser.add_argument(name, type=int, default=default)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    section = random_section(arguments.genes, arguments.spots, rng)
    prediction = random_prediction(section, arguments.locations, arguments.factors, rng)
    print(f"{arguments.genes} genes × {arguments.locations} locations × {arguments.factors} factors")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "factors.h5ad"
        timed("write", lambda: factors.write(path, section, prediction))
        print_sizes(path)
        stored = timed("read", lambda: factors.read(path))
        gene = str(section.genes[min(777, arguments.genes - 1)])
        timed("one gene", lambda: stored.gene(gene), REPEATS)
        timed("standard deviation of one gene", lambda: stored.gene_sd(gene), REPEATS)
        measured = timed("the measured section", lambda: factors.section(path))
        some = stored.only([str(name) for name in stored.genes[:500]])
        for kind in ("real", "rounded", "drawn"):
            timed(
                f"counts of 500 genes, {kind}",
                lambda kind=kind: sum(block.nnz for block in blocks(some, measured, kind=kind)),
            )
    matrix_gb = 4e-9 * arguments.genes * arguments.locations
    print(f"peak memory {peak_memory_bytes() / 1e9:.2f} GB; the matrix alone would take {matrix_gb:.1f} GB")


if __name__ == "__main__":
    main()
