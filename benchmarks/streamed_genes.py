"""All genes of very many bins regressed on factor scores: time and peak memory.

python benchmarks/streamed_genes.py [--bins 605000] [--genes 18000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy import sparse

from histosge._runtime.provenance import peak_memory_bytes
from histosge.prediction.factored import Basis
from histosge.prediction.unfitted_genes import extend

# values that are not 0 in a bin, of Visium HD, and factors
_VALUES, _FACTORS = 140, 64


def random_counts(bins: int, genes: int, seed: int) -> sparse.csr_matrix:
    """Return counts whose genes differ in abundance as those of a tissue do; they follow nothing."""
    rng = np.random.default_rng(seed)
    share = np.cumsum(rng.lognormal(0, 2, genes))
    parts = []
    for rows in np.array_split(np.arange(bins), max(1, bins // 20_000)):
        gene = np.searchsorted(share / share[-1], rng.random(len(rows) * _VALUES)).astype(np.int32)
        row = np.repeat(np.arange(len(rows), dtype=np.int32), _VALUES)
        ones = np.ones(len(gene), dtype=np.float32)
        parts.append(sparse.coo_matrix((ones, (row, gene)), shape=(len(rows), genes)).tocsr())
    return sparse.csr_matrix(sparse.vstack(parts))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bins", type=int, default=605_000)
    parser.add_argument("--genes", type=int, default=18_000)
    arguments = parser.parse_args()
    counts = random_counts(arguments.bins, arguments.genes, 0)
    scores = np.random.default_rng(1).normal(size=(arguments.bins, _FACTORS)).astype(np.float32)
    names = np.array([f"g{index}" for index in range(arguments.genes)])
    unit = np.ones(1, dtype=np.float32)
    fitted = Basis(names[:1], unit, np.ones((1, _FACTORS), dtype=np.float32), unit, unit, unit)
    data_bytes, start = peak_memory_bytes(), (time.perf_counter(), time.process_time())
    basis = extend(fitted, scores, counts, names, score_sd=np.full(scores.shape, 0.1, dtype=np.float32))
    seconds, processors = time.perf_counter() - start[0], time.process_time() - start[1]
    print(f"{arguments.bins} bins × {len(basis)} genes, {counts.nnz / 1e6:.0f} million values")
    print(f"{seconds:.0f} s ({processors:.0f} s of processors)")
    print(f"peak memory {peak_memory_bytes() / 1e9:.1f} GB, of which the data {data_bytes / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
