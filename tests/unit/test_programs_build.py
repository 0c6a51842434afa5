"""Gene programs are built from what other data have in common."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from program_samples import GENES, adata_of, counts_of, explained, write_table
from scipy import sparse

import histosge as hs
from histosge.errors import DataError, UsageError
from histosge.programs import profiles
from histosge.programs.build import build
from histosge.programs.sources import profiles_of


def test_the_directions_of_the_data_come_first() -> None:
    """Three directions that the counts follow are the first three, of one source or of several."""
    assert explained(build(adata_of(counts_of(400))).directions) > 0.9
    assert explained(build([adata_of(counts_of(seed=seed)) for seed in range(3)]).directions) > 0.9


def test_directions_are_orthonormal_and_ordered() -> None:
    """Rows are orthonormal, and variances fall."""
    programs = build(adata_of(counts_of()))
    products = programs.directions @ programs.directions.T
    assert np.allclose(products, np.eye(len(programs)), atol=1e-4)
    assert (np.diff(programs.variances) <= 0).all()


def test_sources_have_the_same_weight() -> None:
    """A source of four times as many profiles, as three of its copies would be, weighs no more than a small one."""
    large, small = counts_of(400, seed=1), counts_of(100, seed=2)
    other = small[:, np.random.default_rng(0).permutation(len(GENES))]
    first = build([adata_of(large), adata_of(other)])
    second = build([adata_of(large[:100]), adata_of(other)])
    assert np.allclose(first.variances[:3], second.variances[:3], rtol=0.25)


def test_neither_the_order_of_files_nor_of_rows_matters() -> None:
    """Another order of sources, profiles and genes gives the same variances and directions."""
    parts = [counts_of(seed=seed) for seed in range(2)]
    first = build([adata_of(part) for part in parts])
    order = np.random.default_rng(0).permutation(len(GENES))
    second = build([adata_of(part[::-1][:, order], GENES[order]) for part in parts[::-1]])
    assert np.array_equal(first.genes.symbols, second.genes.symbols)
    assert np.allclose(first.scaled[:5], second.scaled[:5], atol=1e-3)


def test_depth_of_a_platform_does_not_matter() -> None:
    """A source of half the depth has nearly the same directions: each is scaled to its own median."""
    counts = counts_of(400)
    thinned = np.random.default_rng(0).binomial(counts, 0.5)
    first, second = build(adata_of(counts)).directions[:3], build(adata_of(thinned)).directions[:3]
    assert ((first @ second.T) ** 2).sum() > 2.7


def test_every_format_gives_the_same_programs(tmp_path: Path) -> None:
    """A table, a compressed table, an h5ad by rows, dense or by columns, and data in memory are the same source."""
    counts = counts_of(60)
    adata = adata_of(counts)
    table = write_table(tmp_path / "a.csv", counts, separator=",")
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(write_table(tmp_path / "b.tsv", counts).read_bytes()))
    adata.write_h5ad(tmp_path / "c.h5ad")
    anndata.AnnData(counts, obs=adata.obs, var=adata.var).write_h5ad(tmp_path / "d.h5ad")
    adata.X = sparse.csc_matrix(adata.X)
    adata.write_h5ad(tmp_path / "e.h5ad")
    paths = [table, *(tmp_path / name for name in ("b.tsv.gz", "c.h5ad", "d.h5ad", "e.h5ad"))]
    hashes = {build(source).sources[0].fingerprint for source in (*paths, adata_of(counts))}
    assert len(hashes) == 1


def test_raw_counts_of_more_genes_are_taken_from_raw(tmp_path: Path) -> None:
    """An h5ad whose X is normalised and whose raw has the counts is read from raw, as scanpy leaves it."""
    adata = adata_of(counts_of())
    adata.raw = adata.copy()
    adata = adata[:, :40].copy()
    adata.X = np.log1p(adata.X.toarray())
    adata.write_h5ad(tmp_path / "a.h5ad")
    programs = build(tmp_path / "a.h5ad")
    assert len(programs.genes) == len(GENES)
    assert "raw/X" in programs.messages[0].text


def test_a_section_is_a_source(tmp_path: Path) -> None:
    """What `hs.read` reads can be built from, on disk or in memory."""
    from histosge.datasets.synthetic import write_spaceranger

    section = hs.synthetic(columns=6, rows=6, genes=30).section
    folder = write_spaceranger(section, tmp_path / "outs")
    on_disk, in_memory = build(folder), build(section)
    assert on_disk.sources[0].profiles == in_memory.sources[0].profiles
    assert np.allclose(on_disk.variances, in_memory.variances)


def test_empty_profiles_are_left_out_with_a_message() -> None:
    """A profile of five molecules among those of 2000 is left out."""
    counts = counts_of()
    counts[3] = 0
    counts[3, :5] = 1
    programs = build(adata_of(counts))
    assert programs.profiles == len(counts) - 1
    assert "1 of the 120 profiles" in programs.messages[-1].text


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.log1p(counts_of(40) / 2.0), "log-normalised|fractional"),
        (counts_of(40) - 30.0, "negative values"),
        (counts_of(40) * 0.37, "normalised values|fractional"),
    ],
)
def test_values_that_are_no_counts_are_refused(values: np.ndarray, sentence: str, tmp_path: Path) -> None:
    """Log-normalised, centred and scaled values are refused with their kind, in a table and in an h5ad."""
    with pytest.raises(DataError, match=sentence):
        build(write_table(tmp_path / "a.tsv", values))
    adata_of(values).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(DataError, match=sentence):
        build(tmp_path / "a.h5ad")


def test_one_cell_is_no_source(tmp_path: Path) -> None:
    """One profile, or many without molecules, have no directions."""
    with pytest.raises(DataError, match=r"at least 10 profiles.*got 1\."):
        build(write_table(tmp_path / "a.tsv", counts_of(1)))
    with pytest.raises(DataError, match=r"at least 10 profiles.*got 0\."):
        build(adata_of(np.zeros((50, 80))))


def test_a_gene_twice_is_refused(tmp_path: Path) -> None:
    """A table with two columns of one name is refused, and not renamed in silence."""
    names = GENES.copy()
    names[5] = names[4]
    with pytest.raises(DataError, match=r"'a'.*'GENE04' twice"):
        build(write_table(tmp_path / "a.tsv", counts_of(), names))


def test_sources_of_two_species_are_refused() -> None:
    """A human and a mouse source do not go together, nor a species that the names contradict."""
    mouse = np.array([name.capitalize() for name in GENES])
    both = np.array([*GENES[:40], *mouse[40:]])
    with pytest.raises(DataError, match=r"one species.*human.*mouse|one species.*mouse.*human"):
        build(adata_of(counts_of(), both))
    with pytest.raises(DataError, match="one species"):
        build(adata_of(counts_of()), species="mouse")
    assert build(adata_of(counts_of()), species="human").species == "human"


def test_sources_without_common_genes_are_refused() -> None:
    """Symbols here and identifiers there cannot be joined without a file that has both."""
    ids = np.array([f"ENSG{number:011d}" for number in range(len(GENES))])
    with pytest.raises(DataError, match="common genes"):
        build([adata_of(counts_of()), adata_of(counts_of(seed=1), ids)])


def test_a_source_given_twice_is_refused() -> None:
    """The same counts under two names would count twice."""
    with pytest.raises(UsageError, match="same counts"):
        build([adata_of(counts_of()), adata_of(counts_of())])


def test_a_table_of_genes_by_spots_is_refused(tmp_path: Path) -> None:
    """A transposed table is not taken for one of genes called 1x1."""
    frame = pd.DataFrame(counts_of(30).T, index=GENES, columns=[f"{number}x1" for number in range(30)])
    frame.to_csv(tmp_path / "a.tsv", sep="\t")
    with pytest.raises(DataError, match="Transpose"):
        profiles_of(tmp_path / "a.tsv")


def test_columns_of_positions_are_no_genes(tmp_path: Path) -> None:
    """Positions and sizes of cells beside the counts are left out, and named."""
    frame = pd.DataFrame(counts_of(30), columns=list(GENES))
    frame.insert(0, "x_um", np.linspace(0.5, 9.5, 30))
    frame.to_csv(tmp_path / "cells.csv")
    cells = profiles_of(tmp_path / "cells.csv")
    assert len(cells.genes) == len(GENES)
    assert "x_um" in cells.messages[0].text


@pytest.mark.parametrize("text", ["", "a\tb\n", "\tA\tB\nr1\t1\tx\n", "\tA\tB\nr1\t1\t2\nr2\t1\n"])
def test_a_damaged_table_is_refused(text: str, tmp_path: Path) -> None:
    """Empty tables, words among the counts and short rows end with a sentence."""
    (tmp_path / "a.tsv").write_text(text)
    with pytest.raises(DataError):
        profiles_of(tmp_path / "a.tsv")


def test_a_damaged_h5ad_is_refused(tmp_path: Path) -> None:
    """A file that was cut off ends with a sentence."""
    adata_of(counts_of()).write_h5ad(tmp_path / "a.h5ad")
    content = (tmp_path / "a.h5ad").read_bytes()
    (tmp_path / "a.h5ad").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged"):
        build(tmp_path / "a.h5ad")


def test_a_file_larger_than_memory_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is built from in a third of its size, and of many profiles some are taken."""
    import h5py

    monkeypatch.setattr(profiles, "_BLOCK", 1 << 15)
    monkeypatch.setattr(profiles, "MOST_PROFILES", 1000)
    rows, genes = 6000, 300
    rng = np.random.default_rng(0)
    path = tmp_path / "large.h5ad"
    names = pd.DataFrame(index=[f"GENE{number:03d}" for number in range(genes)])
    anndata.AnnData(sparse.csr_matrix((0, genes), dtype=np.float32), var=names).write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file["X"]
        matrix = file.create_dataset("X", (rows, genes), dtype="f8", chunks=(100, genes))
        matrix.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        matrix[:] = rng.poisson(rng.gamma(0.5, 1.0, genes) * rng.uniform(0.5, 1.5, (rows, 1)))
    tracemalloc.start()
    programs = build(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert programs.profiles == 1000
    assert peak < rows * genes * 8 / 3
