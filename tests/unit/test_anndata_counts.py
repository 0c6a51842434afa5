"""Counts of an AnnData are of all genes that it holds, and values that are no counts are called by their kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from folders import TRUTH, read
from scipy import sparse

from histosge.errors import DataError, HistosgeWarning
from histosge.io.readers import read as read_aloud
from histosge.io.readers.anndata import from_anndata
from histosge.io.readers.count_values import count_warnings, kind_of_values


def whole() -> anndata.AnnData:
    obs = pd.DataFrame(index=TRUTH.spots.ids)
    obs["array_col"], obs["array_row"] = TRUTH.lattice_xy.T.astype(int)
    adata = anndata.AnnData(TRUTH.counts.astype(np.float32), obs=obs, var=pd.DataFrame(index=TRUTH.genes))
    adata.obsm["spatial"] = TRUTH.spots.xy / TRUTH.mpp
    return adata


@pytest.mark.parametrize("logarithms", [True, False])
def test_raw_with_more_genes_is_read_with_all_of_them(logarithms: bool) -> None:
    """Where X holds some of the genes of raw, as logarithms or as counts, all genes of raw are read."""
    adata = whole()
    adata.raw = adata.copy()
    part = adata[:, :10].copy()
    if logarithms:
        part.X = part.X.log1p()
    section = from_anndata(part)
    assert len(section.genes) == len(TRUTH.genes)
    assert (section.counts != TRUTH.counts).nnz == 0
    assert any("10 of them" in message.text for message in section.messages)


def test_depth_over_a_part_of_the_genes_is_said(tmp_path: Path) -> None:
    """Counts of fewer genes than obs['total_counts'] was summed over are read with a warning."""
    adata = whole()
    adata.obs["total_counts"] = np.asarray(adata.X.sum(axis=1)).ravel()
    adata[:, :10].copy().write_h5ad(tmp_path / "part.h5ad")
    with pytest.warns(HistosgeWarning, match="depth of a spot is that of these genes only"):
        read_aloud(tmp_path / "part.h5ad")


def lognorm(x: sparse.csr_matrix) -> sparse.csr_matrix:
    return normalised(x).log1p()


def normalised(x: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix(sparse.diags(1e4 / np.asarray(x.sum(axis=1)).ravel()) @ x)


def corrected(x: sparse.csr_matrix) -> sparse.csr_matrix:
    x = x.copy()
    x.data = x.data * np.random.default_rng(0).uniform(0.7, 1, len(x.data))
    return x


@pytest.mark.parametrize(
    ("change", "kind"),
    [(lognorm, "log-normalised"), (normalised, "got normalised"), (corrected, "ambient correction")],
)
def test_values_that_are_no_counts_are_refused_by_their_kind(
    change: Callable[[sparse.csr_matrix], sparse.csr_matrix], kind: str
) -> None:
    """The error says whether values are log-normalised, normalised or corrected."""
    adata = whole()
    adata.X = change(sparse.csr_matrix(adata.X, dtype=np.float64))
    with pytest.raises(DataError, match=kind):
        from_anndata(adata)


def test_logarithms_of_a_small_panel_are_called_so() -> None:
    """Where few genes have one molecule in a spot, log-normalised values are known by sums of spots or by multiples."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.uniform(5, 40, 30), (200, 30)) + 2.0
    logarithms = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    assert kind_of_values(sparse.csr_matrix(logarithms)) == "log-normalised values"
    assert kind_of_values(sparse.csr_matrix(logarithms.astype(np.float32))) == "log-normalised values"
    # of a part of the genes the sums differ; the smallest value of a spot stands for 1 to 5 molecules
    part = np.log1p(rng.poisson(3.0, (200, 8)) / counts.sum(axis=1, keepdims=True) * 1e4)
    assert kind_of_values(sparse.csr_matrix(part.astype(np.float32))) == "log-normalised values"
    noisy = counts * rng.uniform(0.7, 1, counts.shape)
    for values in (noisy, noisy[:, :5], noisy * 1e4, np.log1p(noisy), rng.lognormal(0, 3, (200, 4))):
        assert "ambient correction" in kind_of_values(sparse.csr_matrix(values))


def rounded(x: sparse.csr_matrix) -> sparse.csr_matrix:
    return normalised(x).multiply(100).rint().tocsr()


def binarised(x: sparse.csr_matrix) -> sparse.csr_matrix:
    return (x > 0).astype(np.float32)


def boolean(x: sparse.csr_matrix) -> sparse.csr_matrix:
    return x > 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (rounded, "100% of the spots have the same total, 1e.06 within 1%"),
        (binarised, "is above 1: they seem to be binarised"),
        (boolean, "is above 1: they seem to be binarised"),
    ],
)
def test_whole_numbers_that_are_hardly_counts_are_read_with_a_warning(
    tmp_path: Path, change: Callable[[sparse.csr_matrix], Any], sentence: str
) -> None:
    """Rounded normalised values and binarised ones are said to be no counts, with what to do."""
    adata = whole()
    adata.X = change(sparse.csr_matrix(adata.X, dtype=np.float64))
    texts = [message.text for message in from_anndata(adata).messages if "raw counts" in message.text]
    assert [bool(re.search(sentence, text)) for text in texts] == [True]
    adata.write_h5ad(tmp_path / "a.h5ad")
    with pytest.warns(HistosgeWarning, match=sentence):
        read_aloud(tmp_path / "a.h5ad")


def test_counts_plus_one_bring_a_warning_and_genes_of_all_spots_none() -> None:
    """Without a zero, a gene with many ones is no count; genes chosen because they have no zero may have a few ones."""
    counts = np.random.default_rng(2).poisson(np.geomspace(0.01, 40, 2000), (300, 2000))
    (message,) = count_warnings(sparse.csr_matrix(counts + 1))
    assert "None of the 600000 counts is 0" in message.text
    everywhere = counts[:, (counts > 0).all(axis=0)]
    assert (everywhere == 1).sum() > 100
    assert count_warnings(sparse.csr_matrix(everywhere)) == ()


@pytest.mark.parametrize("mean", [0.001, 0.01, 0.1, 1, 10, 100])
@pytest.mark.parametrize("shape", [0.2, 5.0])
def test_counts_of_any_mean_bring_no_warning(mean: float, shape: float) -> None:
    """Sparse and dense counts, with one mean in all or with means that differ, bring no warning."""
    rng = np.random.default_rng(1)
    means = mean * rng.gamma(shape, 1 / shape, (1, 500)) * rng.gamma(5.0, 0.2, (800, 1))
    assert count_warnings(sparse.csr_matrix(rng.poisson(means))) == ()
    assert count_warnings(sparse.csr_matrix(rng.poisson(mean, (800, 30)))) == ()


@pytest.mark.parametrize("value", [31, 524311, 1_500_000_000, -900_000_000])
@pytest.mark.parametrize("part", ["X", "raw/X", "layers/counts"])
def test_indices_out_of_range_are_refused(tmp_path: Path, part: str, value: int) -> None:
    """Column indices that do not exist are an error, wherever counts are stored; SciPy would read foreign memory."""
    adata = whole()
    adata.layers["counts"] = adata.X.copy()
    adata.raw = adata.copy()
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        file[f"{part}/indices"][5] = value
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "a.h5ad")


def test_two_values_for_one_gene_are_refused(tmp_path: Path) -> None:
    """An index that occurs twice in a row is an error, in h5ad and in 10x HDF5."""
    adata = whole()
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        indices = file["X/indices"]
        indices[1] = indices[0]
    with pytest.raises(DataError, match="two values"):
        read(tmp_path / "a.h5ad")


def test_two_values_in_a_10x_file_are_refused(outs: Path) -> None:
    """The same in the matrix of Space Ranger."""
    with h5py.File(outs / "filtered_feature_bc_matrix.h5", "r+") as file:
        indices = file["matrix/indices"]
        indices[1] = indices[0]
    with pytest.raises(DataError, match="two values"):
        read(outs)


def test_a_gene_without_an_identifier_has_its_name() -> None:
    """Missing identifiers are not read as the text "nan"."""
    adata = whole()
    adata.var["gene_ids"] = [f"ENSG{number}" if number else None for number in range(adata.n_vars)]
    section = from_anndata(adata)
    assert section.gene_ids[0] == section.genes[0]
    assert section.gene_ids[1] == "ENSG1"
