"""Fits of cokriging block by block: the same as fits that hold everything, whatever the order of the rows."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cokriging_samples import SAMPLES, N
from scipy import sparse

from histosge.errors import UsageError
from histosge.models import build_model, predict, saving
from histosge.models.cokriging import row_blocks, streamed_plan
from histosge.models.cokriging.model import Cokriging
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.section import inputs as section_inputs
from histosge.section.inputs import Samples

INDUCING = 60
WHOLE = Cokriging(exact=1, inducing_points=INDUCING)
STREAMED = replace(WHOLE, streamed=1, nearest_spots=0)


def as_sparse(samples: Samples) -> Samples:
    """Return samples without the zeros of their expression."""
    return replace(samples, expression=sparse.csr_matrix(samples.expression))


def refuse_different(streamed: CokrigingPredictor, whole: CokrigingPredictor, samples: Samples) -> None:
    """Refuse fits whose predictions or statements differ by more than rounding."""
    left, right = predict(streamed, samples.inputs), predict(whole, samples.inputs)
    assert right.sd is not None
    assert np.abs(left.mean - right.mean).max() < 1e-3 * right.mean.std()
    assert np.abs(left.sd - right.sd).max() < 1e-3 * right.sd.mean()  # type: ignore[operator]
    for name in ("noise_sd", "calibration_factor", "r_loo", "r_loo_given_depth"):
        assert np.allclose(getattr(streamed.basis, name), getattr(whole.basis, name), atol=1e-3), name
    # without the measurement of the spot, where spots are judged: signs of factors are free, genes are not
    own = samples.inputs.section_index == 0
    mean, expected = (part.left_out_scores()[0][own] @ part.basis.loadings.T for part in (streamed, whole))
    assert np.abs(mean - expected).max() < 2e-3 * expected.std()
    sd, expected = (
        part.left_out_scores()[1][own] ** 2 @ (part.basis.loadings**2).T for part in (streamed, whole)
    )
    assert np.allclose(sd, expected, rtol=0.05)
    # what each spot has of its own
    assert streamed.microscale is not None
    assert whole.microscale is not None
    own_scores, expected = (
        part.microscale.scores @ part.basis.loadings.T  # type: ignore[union-attr]
        for part in (streamed, whole)
    )
    assert np.abs(own_scores - expected).max() < 5e-3 * max(float(expected.std()), 0.01)


def test_a_streamed_fit_is_that_of_inducing_points() -> None:
    """Sums over blocks of sparse expression give the fit that holds everything, within rounding."""
    refuse_different(STREAMED.fit(as_sparse(SAMPLES)), WHOLE.fit(SAMPLES), SAMPLES)


def test_several_sections_are_streamed() -> None:
    """Means, attribution and statements with an auxiliary section are those of the fit that holds everything."""
    sections = np.repeat([0, 1], [N // 2, N - N // 2])
    samples = replace(SAMPLES, inputs=replace(SAMPLES.inputs, sections=sections))
    whole, streamed = WHOLE.fit(samples), STREAMED.fit(as_sparse(samples))
    refuse_different(streamed, whole, samples)
    assert whole.basis.shares is not None
    assert streamed.basis.shares is not None
    assert np.allclose(streamed.basis.shares, whole.basis.shares, atol=1e-3)
    assert whole.basis.shares[:, 2].max() > 0.01


def test_blocks_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of the blocks changes nothing beyond rounding."""
    whole = STREAMED.fit(as_sparse(SAMPLES))
    monkeypatch.setattr(row_blocks, "ROWS", 16)
    refuse_different(STREAMED.fit(as_sparse(SAMPLES)), whole, SAMPLES)


def test_the_order_of_the_rows_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of the spots is drawn by their names: a shuffled table is fitted alike."""
    monkeypatch.setattr(streamed_plan, "SAMPLE", N // 2)
    order = np.random.default_rng(0).permutation(N)
    samples = as_sparse(SAMPLES)
    fitted, shuffled = STREAMED.fit(samples), STREAMED.fit(samples.take(order))
    left, right = predict(shuffled, SAMPLES.inputs), predict(fitted, SAMPLES.inputs)
    assert np.abs(left.mean - right.mean).max() < 1e-3 * right.mean.std()
    assert np.allclose(
        shuffled.left_out_scores()[1].mean(), fitted.left_out_scores()[1][order].mean(), rtol=1e-3
    )


def test_a_streamed_fit_is_saved(tmp_path: Path) -> None:
    """A saved fit predicts what it predicted before."""
    fitted = STREAMED.fit(as_sparse(SAMPLES))
    saving.save(tmp_path / "fit", STREAMED, fitted)
    _, loaded = saving.load(tmp_path / "fit")
    assert np.array_equal(predict(loaded, SAMPLES.inputs).mean, predict(fitted, SAMPLES.inputs).mean)


def test_few_sparse_spots_are_fitted_as_dense_ones() -> None:
    """Below the limit sparse samples give the same bits as dense ones."""
    model = Cokriging(image=False)
    left, right = (predict(model.fit(part), part.inputs).mean for part in (as_sparse(SAMPLES), SAMPLES))
    assert np.array_equal(left, right)


@pytest.mark.parametrize("model", ["kriging", "idw", "ridge", "mean"])
def test_other_models_take_sparse_expression(model: str) -> None:
    """Models that hold all values make them dense where they fit into memory."""
    left, right = (
        predict(build_model(model).fit(part), part.inputs).mean for part in (as_sparse(SAMPLES), SAMPLES)
    )
    assert np.array_equal(left, right)


def test_other_models_refuse_what_they_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all values need more memory than there is, the sentence names a model that needs none of it."""
    monkeypatch.setattr(section_inputs, "available_bytes", lambda: 1000)
    with pytest.raises(UsageError, match="Choose `model` cokriging"):
        build_model("kriging").fit(as_sparse(SAMPLES))


def test_values_that_are_not_finite_are_refused() -> None:
    """NaN in sparse expression is refused before anything is computed."""
    expression = sparse.csr_matrix(SAMPLES.expression, copy=True)
    expression.data[3] = np.nan
    with pytest.raises(Exception, match="finite expression"):
        STREAMED.fit(replace(SAMPLES, expression=expression))


_MEMORY = """
import json, resource, sys
import numpy as np
from scale import sparse_bins
from histosge.models import build_model
samples = sparse_bins(int(sys.argv[1]), 400, 0, molecules=40.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
build_model("cokriging", streamed=1, inducing_points=200).fit(samples)
print(json.dumps([before / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_spots_times_genes() -> None:
    """60 000 spots × 400 genes, 192 MB as a matrix, are fitted with less than three times that beside the data."""
    benchmarks = Path(__file__).parents[2] / "benchmarks"

    def peak(bins: int) -> float:
        command = [sys.executable, "-W", "ignore", "-c", _MEMORY, str(bins)]
        result = subprocess.run(command, cwd=benchmarks, capture_output=True, text=True, check=True)
        before, after = json.loads(result.stdout)
        return float(after - before)

    few, many = peak(20_000), peak(60_000)
    # MB for each of 40 000 more spots: scores, standard deviations, image features; a matrix has 3200 bytes a spot
    assert (many - few) / 40_000 * 2**20 < 3200
