"""All sections of a cohort in one SpatialData store."""

from __future__ import annotations

import anndata
import numpy as np
import pytest

import histosge as hs
from histosge._runtime.messages import Message
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.errors import HistosgeError
from histosge.workflow.cohort.cohort import run_cohort
from histosge.workflow.cohort.combined_spatialdata import STORE, write_spatialdata
from histosge.workflow.cohort.plan import CohortPlan
from histosge.workflow.cohort.sheet import Sample, SampleSheet
from histosge.workflow.executors import Processes

spatialdata = pytest.importorskip("spatialdata")


@pytest.mark.slow
def test_one_store_has_all_sections_each_in_its_own_coordinate_system(tmp_path):
    """SpatialData opens it: rows are those of cohort.h5ad and of the circles, and another's elements stay."""
    samples = []
    for number in range(2):
        section = synthetic(columns=8, rows=8, genes=12, seed=number).section
        samples.append(Sample(f"S {number}", str(write_spaceranger(section, tmp_path / f"{number}"))))
    outputs = hs.Outputs(also=["spatialdata"], figures=False)
    plan = CohortPlan(
        SampleSheet(tuple(samples)),
        tmp_path / "out",
        hs.Recipe("kriging", genes="all"),
        target=hs.Target(upsample=2),
        outputs=outputs,
    )
    with Processes(1) as executor:
        result = run_cohort(plan, executor)
    assert tmp_path / "out" / STORE in result.files
    store = spatialdata.read_zarr(tmp_path / "out" / STORE)
    assert {"S_0", "S_1"} < set(store.coordinate_systems)
    assert "global" not in store.coordinate_systems
    every, table = anndata.read_h5ad(tmp_path / "out/cohort.h5ad"), store["table"]
    assert np.array_equal(np.asarray(table.X), every.X)
    assert table.obs["library_id"].astype(str).unique().tolist() == ["S 0", "S 1"]
    for number in range(2):
        circles = store[f"S_{number}_locations"]
        rows = table[(table.obs["region"] == f"S_{number}_locations").to_numpy()]
        assert rows.obs["location_id"].tolist() == circles.index.tolist()
        assert np.allclose(np.column_stack([circles.geometry.x, circles.geometry.y]), rows.obsm["spatial"])
        assert f"S_{number}_image" in store
    # written again over itself, and not over elements that somebody added
    write_spatialdata(plan, samples, tmp_path / "out/cohort.h5ad")
    (tmp_path / "out" / STORE / "shapes/mine").mkdir()
    with pytest.raises(HistosgeError):
        write_spatialdata(plan, samples, tmp_path / "out/cohort.h5ad")


def test_samples_whose_names_are_alike_in_a_store_are_said(tmp_path):
    """Elements of two samples would have one name: a warning, and no store."""
    samples = (Sample("a b", "x"), Sample("a:b".replace(":", "+"), "y"))
    plan = CohortPlan(SampleSheet(samples), tmp_path, hs.Recipe("kriging"))
    path, messages = write_spatialdata(plan, samples, tmp_path / "cohort.h5ad")
    assert path is None
    assert isinstance(messages[0], Message)
    assert "a_b" in messages[0].text
