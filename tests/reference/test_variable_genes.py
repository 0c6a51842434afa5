"""Highly variable genes are those of scanpy."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
import scanpy
from scipy import sparse

import histosge
from histosge.section import variable_genes
from histosge.section.genes import select
from histosge.section.variable_genes import highly_variable


def theirs(counts: sparse.csr_matrix, n_top: int) -> set[int]:
    data = anndata.AnnData(counts.astype(np.float64).tocsr())
    scanpy.pp.highly_variable_genes(data, n_top_genes=n_top, flavor="seurat_v3")
    return set(np.flatnonzero(data.var["highly_variable"].to_numpy()).tolist())


def test_variable_genes_are_scanpys() -> None:
    """On counts with gradients the 100 genes chosen are those of seurat_v3."""
    rng = np.random.default_rng(3)
    rates = rng.gamma(0.7, 2.0, 800) * rng.lognormal(0, 1.0, (300, 800)) ** (np.arange(800) % 5 == 0)
    counts = sparse.csr_matrix(rng.poisson(rates).astype(float))
    ours = set(highly_variable(counts, 100).tolist())
    assert len(ours & theirs(counts, 100)) >= 99


def test_very_many_values_give_the_same_genes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Piece by piece, without a copy of the matrix, the same genes are chosen, and none that does not vary."""
    rng = np.random.default_rng(4)
    dense = rng.poisson(rng.gamma(0.7, 2.0, 300), (200, 300)).astype(float)
    dense[:, :5] = 1.0
    counts = sparse.csr_matrix(dense)
    whole = highly_variable(counts, 60)
    monkeypatch.setattr(variable_genes, "_MANY_VALUES", 0)
    monkeypatch.setattr(variable_genes, "_PIECE", 1009)
    assert np.array_equal(highly_variable(counts, 60), whole)
    assert highly_variable(counts, 300).min() >= 5


def test_three_genes_are_ranked_without_a_loess_curve() -> None:
    """Too few genes for a local fit: a straight line is fitted instead."""
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson([1.0, 3.0, 20.0], (50, 3)).astype(float))
    for n in (1, 2, 3):
        assert len(highly_variable(counts[:, :n], n)) == n


@pytest.mark.real
@pytest.mark.parametrize("name", ["her2st/C2", "mouse_brain_dg"])
def test_variable_genes_of_real_sections_are_scanpys(real_data: Path, name: str) -> None:
    """The same on real sections, among the genes that are seen often enough."""
    section = histosge.read(real_data / name, trust_alignment=True)
    floor = 10 if len(section) > 1000 else 3
    seen = np.flatnonzero(np.bincount(section.counts.indices, minlength=len(section.genes)) >= floor)
    expected = {str(section.genes[seen[index]]) for index in theirs(section.counts[:, seen], 500)}
    ours = {str(name) for name in select(section, "hvg:500").names}
    assert len(ours & expected) >= 495
