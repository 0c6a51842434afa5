"""Total counts are predicted from factor scores, where that is known, and stay with the locations."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pytest

import histosge as hs
from histosge.io.writers import factors
from histosge.prediction.total_counts import COLUMN, TotalCounts

TISSUE = hs.synthetic(columns=12, rows=12, genes=30)
OUTPUTS = hs.Outputs(figures=False)


def test_totals_follow_the_scores_and_their_accuracy_is_that_of_left_out_spots():
    """Counts that follow a score are recovered; counts that follow none have a correlation near 0."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(300, 2))
    depth = np.exp(6 + 0.5 * scores[:, 0] + rng.normal(0, 0.1, 300))
    totals = TotalCounts.of(scores, depth)
    assert totals.r_loo > 0.95
    assert totals.log_sd == pytest.approx(0.1, abs=0.03)
    assert np.corrcoef(np.log(totals.at(scores)), np.log(depth))[0, 1] > 0.95
    nothing = TotalCounts.of(scores, np.exp(6 + rng.normal(0, 0.5, 300)))
    assert abs(nothing.r_loo) < 0.2


def test_a_run_writes_totals_at_each_location_in_both_files(tmp_path):
    """``obs`` of both files has the same totals, positive and of the size of the measured ones; run.json their r."""
    section = TISSUE.section
    result = hs.run(
        section, hs.Recipe(genes="all"), out=tmp_path, target=hs.Target(upsample=2), outputs=OUTPUTS
    )
    written = anndata.read_h5ad(result.prediction).obs[COLUMN].to_numpy()
    measured = np.asarray(section.counts.sum(axis=1)).ravel()
    assert np.all(written > 0)
    assert np.median(written) == pytest.approx(np.median(measured), rel=0.3)
    held = factors.read(tmp_path / "factors.h5ad")
    assert np.array_equal(held.total_counts, written)
    assert np.array_equal(held.take([3, 1]).total_counts, written[[3, 1]])
    assert -1 <= json.loads((tmp_path / "run.json").read_text())["total_counts"]["r_loo"] <= 1


def test_models_without_factors_write_no_totals(tmp_path):
    """Kriging of genes knows nothing of total counts, and its file has no such column."""
    result = hs.run(
        TISSUE.section,
        hs.Recipe("kriging", genes="all"),
        out=tmp_path,
        target=hs.Target(upsample=2),
        outputs=OUTPUTS,
    )
    assert COLUMN not in anndata.read_h5ad(result.prediction).obs
