"""``prediction.h5ad`` holds predicted and measured values, and other tools work on it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
import scanpy
import squidpy
from writer_samples import LOCATIONS, MEAN, PREDICTION, PROVENANCE, SECTION

from histosge.errors import DataError, OutputError, UsageError
from histosge.io.readers import read
from histosge.io.writers import h5ad
from histosge.models.base import Block
from histosge.section.expression import log_cp10k


def blocks(order: list[int], size: int = 50) -> Iterator[Block]:
    pieces = np.array_split(np.arange(len(LOCATIONS)), len(LOCATIONS) // size)
    for index in order:
        yield pieces[index], MEAN[pieces[index]], None


def test_a_prediction_comes_back(tmp_path: Path) -> None:
    """Reading returns the values, locations and provenance that were written."""
    result = h5ad.read(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    assert np.array_equal(result.mean, PREDICTION.mean)
    assert np.allclose(np.asarray(result.sd), np.asarray(PREDICTION.sd))
    assert result.provenance == PROVENANCE == h5ad.provenance(tmp_path / "p.h5ad")
    for name in ("lattice_xy", "parent", "subspot", "observed", "in_tissue"):
        assert np.array_equal(getattr(result.locations, name), getattr(LOCATIONS, name)), name
    assert np.array_equal(result.locations.xy, LOCATIONS.xy)


def test_measured_values_are_a_layer(tmp_path: Path) -> None:
    """X has the prediction everywhere; `layers["measured"]` has measured values at measured spots only."""
    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    assert np.array_equal(np.asarray(adata.X), MEAN)
    measured = adata.layers["measured"].toarray()
    assert np.allclose(measured[: len(SECTION)], log_cp10k(SECTION.counts).toarray(), atol=1e-6)
    assert not measured[len(SECTION) :].any()
    assert list(adata.obs["parent"][: len(SECTION)]) == list(SECTION.spots.ids)


def test_cellxgene_has_coordinates_with_y_upwards(tmp_path: Path) -> None:
    """`obsm["X_spatial"]` are the pixels mirrored, and the file says what they are for."""
    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    shown, xy_px = adata.obsm["X_spatial"], adata.obsm["spatial"]
    assert shown.dtype == np.float32
    assert np.allclose(shown, np.column_stack([xy_px[:, 0], -xy_px[:, 1]]))
    assert "cellxgene" in adata.uns["histosge"]["layout"]["about"]["obsm_X_spatial"]


def test_raw_counts_are_a_layer(tmp_path: Path) -> None:
    """`layers["counts"]` has the counts at measured spots, and `total_counts` their depth over all genes."""
    few = replace(PREDICTION, genes=SECTION.genes[:3], mean=MEAN[:, :3], sd=None)
    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, few))
    counts = adata.layers["counts"]
    assert np.array_equal(counts[: len(SECTION)].toarray(), SECTION.counts[:, :3].toarray())
    assert counts[len(SECTION) :].nnz == 0
    totals = adata.obs["total_counts"].to_numpy()
    assert np.array_equal(totals[: len(SECTION)], np.asarray(SECTION.counts.sum(axis=1)).ravel())
    assert np.isnan(totals[len(SECTION) :]).all()


def test_a_prediction_is_no_measured_section(tmp_path: Path) -> None:
    """Its counts are those of some genes and of some locations: reading it as a section is refused."""
    path = h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION)
    with pytest.raises(DataError, match="got a prediction of histosge"):
        read(path)


@pytest.mark.parametrize("column", ["observed", "parent"])
def test_columns_are_drawn_by_squidpy(tmp_path: Path, column: str) -> None:
    """What is measured, and which spot is near, are of a kind that `spatial_scatter` colours and that selects rows."""
    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    squidpy.pl.spatial_scatter(adata, color=column, save=str(tmp_path / "map.png"))
    assert (tmp_path / "map.png").stat().st_size > 10_000
    assert adata[adata.obs["observed"]].n_obs == len(SECTION)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_blocks_may_come_in_any_order(tmp_path: Path, order: list[int]) -> None:
    """The file is the same for any order of the blocks."""
    pieces = list(blocks(list(range(len(LOCATIONS) // 50))))
    reordered = [pieces[index] for index in order] + pieces[3:]
    path = h5ad.stream(tmp_path / "p.h5ad", SECTION, LOCATIONS, SECTION.genes, reordered, provenance={})
    assert np.array_equal(h5ad.read(path).mean, MEAN)
    assert [item.name for item in tmp_path.iterdir()] == ["p.h5ad"]


@pytest.mark.parametrize("fault", ["missing", "repeated", "nan"])
def test_blocks_that_are_wrong_leave_no_file(tmp_path: Path, fault: str) -> None:
    """Missing, repeated and infinite rows are refused, and no file is left."""
    pieces = list(blocks(list(range(len(LOCATIONS) // 50))))
    if fault == "missing":
        pieces.pop()
    elif fault == "repeated":
        pieces.append(pieces[0])
    else:
        pieces[1] = (pieces[1][0], pieces[1][1] * np.float32("nan"), None)
    with pytest.raises(DataError):
        h5ad.stream(tmp_path / "p.h5ad", SECTION, LOCATIONS, SECTION.genes, pieces, provenance={})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A full disk is one sentence, and the previous file stays."""
    path = h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION)
    before = path.read_bytes()

    def full() -> Iterator[Block]:
        yield next(blocks([0]))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="disk is full"):
        h5ad.stream(path, SECTION, LOCATIONS, SECTION.genes, full(), provenance={})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_truncated_prediction_is_a_sentence(tmp_path: Path) -> None:
    """Truncated, missing and other files are refused."""
    path = h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="truncated"):
        h5ad.read(path)
    with pytest.raises(UsageError, match="no file"):
        h5ad.read(tmp_path / "nothing.h5ad")
    anndata.AnnData(np.ones((2, 2))).write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(DataError, match="Predict again"):
        h5ad.read(tmp_path / "other.h5ad")


def test_scanpy_and_squidpy_work_on_it(tmp_path: Path) -> None:
    """Clustering, spatial graphs, autocorrelation and plots run on the file."""
    import matplotlib

    matplotlib.use("Agg")
    adata = scanpy.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    scanpy.pp.pca(adata, n_comps=5)
    scanpy.pp.neighbors(adata)
    squidpy.gr.spatial_neighbors(adata, n_neighs=6, coord_type="generic")
    squidpy.gr.spatial_autocorr(adata, mode="moran", n_perms=None, genes=list(adata.var_names[:3]))
    assert len(adata.uns["moranI"]) == 3
    squidpy.pl.spatial_scatter(adata, color=str(adata.var_names[0]), save=str(tmp_path / "map.png"))
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_genes_of_another_section_are_refused(tmp_path: Path) -> None:
    """A prediction with genes of another section is refused, and no file is left."""
    strange = replace(PREDICTION, genes=np.array([f"X{i}" for i in range(12)]))
    with pytest.raises(UsageError, match="X0"):
        h5ad.write(tmp_path / "p.h5ad", SECTION, strange)
    assert not list(tmp_path.iterdir())


def test_a_section_without_image_is_written(tmp_path: Path) -> None:
    """Without an image the file has no picture, and everything else."""
    path = h5ad.write(tmp_path / "p.h5ad", replace(SECTION, slide=None), PREDICTION)
    assert h5ad.read(path).mean.shape == MEAN.shape
    assert not next(iter(anndata.read_h5ad(path).uns["spatial"].values()))["images"]
