"""Any genes of a run are written from its factors.h5ad alone, with counts that add up to those measured."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import anndata
import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

from histosge import Cells, at_cells, conserve, grid, upsampled
from histosge.cli import commands
from histosge.datasets import synthetic
from histosge.errors import UsageError
from histosge.io.export import export
from histosge.io.writers import factors
from histosge.prediction.count_allocation import Kind
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.expression import log_cp10k
from histosge.section.locations import Locations

TISSUE = synthetic(columns=10, rows=10, genes=30)
SECTION = TISSUE.section
LOCATIONS = upsampled(SECTION, 4)
K = 4


def predicted(locations: Locations, genes: int = 24) -> FactoredPrediction:
    rng = np.random.default_rng(0)
    draw = [rng.uniform(0.2, 1.5, genes).astype(np.float32) for _ in range(4)]
    basis = Basis(SECTION.genes[:genes], draw[0], rng.normal(size=(genes, K)).astype(np.float32), *draw[1:])
    # smooth fields, as fields are
    waves = np.column_stack([TISSUE.zone(locations.xy), *(w(locations.xy) for w in TISSUE.compartments)])
    sd = rng.uniform(0.1, 1.0, waves.shape)
    return FactoredPrediction(locations, basis, waves.astype(np.float32), sd.astype(np.float16), {"seed": 1})


WHOLE = predicted(LOCATIONS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    factors.write(folder / "factors.h5ad", SECTION, WHOLE)
    return folder


def test_h5ad_holds_the_genes_asked_for(run: Path, tmp_path: Path) -> None:
    """Predicted and measured values and standard deviations have the order of the genes."""
    result = export(run, tmp_path / "p.h5ad", genes="ZONE2,TUMOUR1")
    adata = anndata.read_h5ad(result.path)
    assert tuple(adata.var_names) == ("ZONE2", "TUMOUR1") == result.genes
    expected = WHOLE.whole(["ZONE2", "TUMOUR1"], observation=True)
    assert np.allclose(np.asarray(adata.X), expected.mean, atol=1e-6)
    assert np.allclose(np.asarray(adata.layers["sd"]), np.asarray(expected.sd), rtol=2e-3)
    columns = [int(np.flatnonzero(SECTION.genes == name)[0]) for name in result.genes]
    measured = log_cp10k(SECTION.counts)[:, columns].toarray()
    assert np.allclose(adata.layers["measured"].toarray()[: len(SECTION)], measured, atol=1e-6)
    assert adata.uns["histosge"]["seed"] == 1
    assert adata.uns["spatial"]["synthetic"]["images"]["hires"].ndim == 3


@pytest.mark.parametrize("kind", ["real", "rounded", "drawn"])
def test_conserved_counts_add_up_in_the_file(run: Path, tmp_path: Path, kind: Kind) -> None:
    """The layer has the counts of conserve(), which sum to the measured ones."""
    counts = export(run, tmp_path / "p.h5ad", conserve=kind, seed=3).conserved
    adata = anndata.read_h5ad(tmp_path / "p.h5ad")
    layer = adata.layers["conserved"].toarray()
    sums = np.zeros((len(SECTION), 24))
    np.add.at(sums, LOCATIONS.parent, layer)
    assert np.allclose(sums, SECTION.counts[:, :24].toarray(), rtol=1e-9, atol=1e-12)
    assert np.allclose(layer, conserve(WHOLE, SECTION, kind=kind, seed=3).toarray())
    assert counts is not None
    assert counts.counts == SECTION.counts[:, :24].sum()
    assert counts.counts_without_location == 0


def test_spots_without_a_location_are_reported(tmp_path: Path) -> None:
    """Counts of spots without a location are reported."""
    part = predicted(LOCATIONS.take(LOCATIONS.xy[:, 0] < np.median(LOCATIONS.xy[:, 0])))
    factors.write(tmp_path / "factors.h5ad", SECTION, part)
    counts = export(tmp_path, tmp_path / "p.h5ad", conserve="rounded").conserved
    assert counts is not None
    assert counts.counts > 0
    assert counts.counts_without_location > 0
    assert counts.counts + counts.counts_without_location == SECTION.counts[:, :24].sum()
    layer = anndata.read_h5ad(tmp_path / "p.h5ad").layers["conserved"]
    assert layer.sum() == counts.counts


def test_spatialdata_is_multiplied_out_while_it_is_written(run: Path, tmp_path: Path) -> None:
    """The table has the whole matrix, computed in chunks."""
    import spatialdata

    export(run, tmp_path / "p.zarr", to="spatialdata")
    table = spatialdata.read_zarr(tmp_path / "p.zarr")["table"]
    assert np.allclose(np.asarray(table.X), WHOLE.whole().mean, atol=1e-6)
    assert np.allclose(
        np.asarray(table.layers["sd"]), np.asarray(WHOLE.whole(observation=True).sd), rtol=2e-3
    )
    assert list(table.var_names) == list(WHOLE.genes)


def test_geojson_has_the_measurements(run: Path, tmp_path: Path) -> None:
    """One detection a location."""
    export(run, tmp_path / "p.geojson", genes="ZONE1", to="geojson")
    features = json.loads((tmp_path / "p.geojson").read_text())["features"]
    assert features[5]["properties"]["measurements"]["ZONE1"] == pytest.approx(
        WHOLE.gene("ZONE1")[5], abs=1e-3
    )


def test_genes_come_from_files_too(run: Path, tmp_path: Path) -> None:
    """A file has one name a line; names that were not predicted are reported."""
    (tmp_path / "genes.txt").write_text("ZONE1\nFLAT1\nNoSuch\n")
    result = export(run, tmp_path / "p.h5ad", genes=str(tmp_path / "genes.txt"))
    assert sorted(result.genes) == ["FLAT1", "ZONE1"]
    assert result.missing_genes == ("NoSuch",)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"genes": "ZONE"}, "Did you mean"),
        ({"genes": " , "}, "got none"),
        ({"to": "xls"}, "no writer named"),
        ({"to": "geojson", "conserve": "real"}, "Choose h5ad"),
    ],
)
def test_wrong_options_are_refused(run: Path, tmp_path: Path, options: dict, sentence: str) -> None:
    """Unknown genes and formats, counts in files that have no location for them."""
    with pytest.raises(UsageError, match=sentence):
        export(run, tmp_path / "p", **options)
    assert not list(tmp_path.iterdir())


def test_runs_without_factors_are_refused(tmp_path: Path) -> None:
    """Missing folders, folders without factors and unknown kinds of counts are refused."""
    with pytest.raises(UsageError, match="nothing at"):
        export(tmp_path / "nowhere", tmp_path / "p.h5ad")
    with pytest.raises(UsageError, match=r"has no factors\.h5ad"):
        export(tmp_path, tmp_path / "p.h5ad")
    with pytest.raises(UsageError, match="drawn"):
        export(tmp_path, tmp_path / "p.h5ad", conserve="integer")


def test_the_command_exports(run: Path, tmp_path: Path) -> None:
    """``histosge export`` prints lines, or one JSON object, or one sentence for an error."""
    runner = CliRunner()
    out = str(tmp_path / "p.h5ad")
    result = runner.invoke(
        commands(), ["export", str(run), "--out", out, "--genes", "ZONE1", "--conserve", "rounded"]
    )
    assert result.exit_code == 0, result.output
    assert "counts allocated" in result.output
    result = runner.invoke(commands(), ["export", str(run), "--out", out, "--genes", "ZONE1", "--json"])
    assert json.loads(result.stdout)["genes"] == ["ZONE1"]
    result = runner.invoke(commands(), ["export", str(run), "--out", out, "--genes", "ZONEX"])
    assert result.exit_code == 2
    assert "Did you mean" in result.output


@pytest.mark.slow
def test_streaming_needs_little_memory(tmp_path: Path) -> None:
    """2000 genes at 40 000 locations, 320 MB as a matrix, are written to h5ad in a fraction of that."""
    section = synthetic(columns=60, rows=60, genes=2000).section
    locations = grid(section, 25.0)
    rng = np.random.default_rng(0)
    ones = np.ones(2000, np.float32)
    basis = Basis(section.genes, ones, rng.normal(size=(2000, 5)).astype(np.float32), ones, ones, ones)
    whole = FactoredPrediction(locations, basis, rng.normal(size=(len(locations), 5)).astype(np.float32))
    factors.write(tmp_path / "factors.h5ad", section, whole)
    matrix = 4 * len(locations) * 2000
    tracemalloc.start()
    export(tmp_path, tmp_path / "p.h5ad", conserve="rounded")
    assert tracemalloc.get_traced_memory()[1] < 0.6 * max(matrix, 3e8)
    tracemalloc.stop()


def test_cells_share_a_spot_with_what_lies_between_them(tmp_path: Path) -> None:
    """Counts of cells and of the background add up to all counts; the reply and the command say how many are where."""
    spots = SECTION.spots.xy[:40]
    cells = Cells(np.arange(40).astype(str), spots, shapely.buffer(shapely.points(spots), 8.0))
    factors.write(tmp_path / "factors.h5ad", SECTION, predicted(at_cells(SECTION, cells)))
    held = export(tmp_path, tmp_path / "p.h5ad", conserve="rounded").conserved
    assert held is not None
    assert held.counts_between_cells is not None
    assert held.counts + held.counts_between_cells == SECTION.counts[:, :24].sum()
    assert anndata.read_h5ad(tmp_path / "p.h5ad").layers["conserved"].sum() == held.counts
    words = ["export", tmp_path, "--conserve", "rounded", "--background", "0", "--out", tmp_path / "q.h5ad"]
    result = CliRunner().invoke(commands(), [str(word) for word in words])
    assert result.exit_code == 0
    assert "left between the cells" in result.output
    # without molecules between cells those of a spot with a cell are all in it
    assert anndata.read_h5ad(tmp_path / "q.h5ad").layers["conserved"].sum() > held.counts
