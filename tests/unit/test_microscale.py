"""What a spot has of its own: in it, not beside it, and none where spots have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import histosge as hs
from histosge.datasets.synthetic import synthetic
from histosge.models import predict
from histosge.models.baselines.kriging import Kriging
from histosge.models.cokriging.kernels import KernelInputs
from histosge.models.cokriging.microscale import MICROSCALE_UM, Microscale, is_apart
from histosge.section.genes import select
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.section.section import Section

TISSUE = synthetic(columns=14, rows=14, genes=60, seed=3).section
MODEL = hs.Recipe("cokriging", "positions").build()


def with_own_signal(section: Section, *, seed: int = 0) -> tuple[Section, np.ndarray]:
    """Return a section whose spots differ at random, alike in all genes of a half, and the logarithm of the change."""
    rng = np.random.default_rng(seed)
    genes = len(section.genes)
    change = rng.normal(0, 1.0, len(section))[:, None] * np.where(np.arange(genes) < genes // 2, 1.0, -1.0)
    counts = np.rint(section.counts.toarray() * np.exp(change)).astype(float)
    return replace(section, counts=sparse.csr_matrix(counts)), change


def samples(section: Section) -> Samples:
    """Return samples of all spots without image."""
    return samples_of(section, select(section, "all"), Inputs(at_spots(section)))


def moved(inputs: Inputs, shift_um: float) -> Inputs:
    """Return the locations beside their spots, as points that were not measured."""
    shift = np.array([shift_um, 0.0])
    points = replace(inputs.locations.points, xy=inputs.locations.xy + shift, diameter_um=0.0)
    n = len(inputs)
    none = np.zeros(n, dtype=bool)
    return Inputs(replace(inputs.locations, points=points, observed=none, subspot=np.full(n, -1)))


def test_a_spot_keeps_what_it_has_of_its_own_and_its_surroundings_do_not_change() -> None:
    """In a spot the prediction follows its own measurement; half way to the next spot little is left."""
    section, change = with_own_signal(TISSUE)
    fitted = samples(section)
    own, without = (replace(MODEL, microscale=on).fit(fitted) for on in (True, False))
    where = moved(fitted.inputs, 0.0)
    at, before = predict(own, where).mean, predict(without, where).mean
    first = np.arange(len(section.genes)) < len(section.genes) // 2
    contrast, base = (part[:, first].mean(axis=1) - part[:, ~first].mean(axis=1) for part in (at, before))
    assert np.corrcoef(contrast, change[:, 0])[0, 1] > np.corrcoef(base, change[:, 0])[0, 1] + 0.2
    inside, far = (
        np.abs(predict(own, part).mean - predict(without, part).mean).mean()
        for part in (moved(fitted.inputs, 10.0), moved(fitted.inputs, 50.0))
    )
    assert inside > 0.1
    assert far < 0.2 * inside
    # maps of the spots stay smooth
    spots = (predict(part, fitted.inputs).mean for part in (own, without))
    np.testing.assert_array_equal(*spots)
    # what is said of accuracy is of spots that were left out
    np.testing.assert_array_equal(own.basis.r_loo, without.basis.r_loo)


def test_kriging_keeps_what_a_spot_has_of_its_own() -> None:
    """In a spot each gene follows its own measurement, half way to the next little is left, and spots stay smooth."""
    section, _ = with_own_signal(TISSUE)
    fitted = samples(section)
    own, without = (Kriging(microscale=on).fit(fitted) for on in (True, False))
    (inside, base), (far, base_far) = (
        [predict(fit, moved(fitted.inputs, shift_um)).mean for fit in (own, without)]
        for shift_um in (0.0, 50.0)
    )

    def agreement(prediction: np.ndarray) -> float:
        parts = zip(prediction.T, np.asarray(fitted.expression).T, strict=True)
        return float(np.mean([np.corrcoef(*part)[0, 1] for part in parts]))

    assert agreement(inside) > agreement(base) + 0.2
    assert np.abs(far - base_far).mean() < 0.2 * np.abs(inside - base).mean()
    np.testing.assert_array_equal(*(predict(fit, fitted.inputs).mean for fit in (own, without)))
    again = Kriging().restore(own.genes, own.arrays(), own.summary())
    np.testing.assert_array_equal(predict(again, moved(fitted.inputs, 0.0)).mean, inside)


def test_kriging_does_not_take_noise_alone_for_a_spots_own() -> None:
    """Where molecules explain the residuals, little of them is kept."""
    smooth = np.tile(np.asarray(TISSUE.counts.mean(axis=0)), (len(TISSUE), 1))
    counts = np.random.default_rng(1).poisson(smooth).astype(float)
    flat = replace(TISSUE, counts=sparse.csr_matrix(counts))
    noise, signal = (Kriging().fit(samples(part)).microscale for part in (flat, with_own_signal(TISSUE)[0]))
    assert noise is not None
    assert signal is not None
    assert (noise.scores**2).sum() < 0.1 * (signal.scores**2).sum()


def test_noise_alone_is_not_taken_for_a_spots_own() -> None:
    """Where molecules explain the residuals, little of them is kept."""
    rng = np.random.default_rng(1)
    smooth = np.tile(np.asarray(TISSUE.counts.mean(axis=0)), (len(TISSUE), 1))
    flat = replace(TISSUE, counts=sparse.csr_matrix(rng.poisson(smooth).astype(float)))
    own = MODEL.fit(samples(flat)).microscale
    strong = MODEL.fit(samples(with_own_signal(TISSUE)[0])).microscale
    assert own is not None
    assert strong is not None
    assert (own.scores**2).sum() < 0.1 * (strong.scores**2).sum()


def test_a_saved_fit_keeps_it() -> None:
    """Arrays hold all of it; those of a fit without it give none."""
    fitted = samples(with_own_signal(TISSUE)[0])
    own = MODEL.fit(fitted)
    again = MODEL.restore(own.genes, own.arrays(), own.summary())
    where = moved(fitted.inputs, 10.0)
    np.testing.assert_array_equal(predict(again, where).mean, predict(own, where).mean)
    older = {name: part for name, part in own.arrays().items() if not name.startswith("microscale")}
    assert MODEL.restore(own.genes, older, own.summary()).microscale is None


def test_the_weight_is_one_for_a_spot_and_more_for_a_cell() -> None:
    """A location of another section shares nothing with a spot."""
    own = Microscale(np.zeros((1, 2)), np.zeros(1, dtype=int), 55.0, np.ones((1, 1), dtype=np.float32))
    section = np.zeros(3, dtype=int)
    xy_um = np.array([[0.0, 0.0], [20.0, 0.0], [27.5 + 7 * MICROSCALE_UM, 0.0]])
    disks, points = own.at(xy_um, section, np.full(3, 55.0)), own.at(xy_um, section, np.zeros(3))
    assert disks[0, 0] == pytest.approx(1.0)
    assert points[0, 0] > 1 > points[1, 0] > points[2, 0] == 0
    assert not own.at(xy_um, section + 1, np.zeros(3)).any()


@pytest.mark.parametrize(
    ("pitch_um", "diameter_um", "apart"), [(100, 55, True), (100, 95, False), (100, 0, False)]
)
def test_spots_that_nearly_touch_have_none(pitch_um: float, diameter_um: float, apart: bool) -> None:
    """Neighbours that nearly touch share their surroundings."""
    xy_um = pitch_um * np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    assert is_apart(KernelInputs(xy_um, np.zeros(25, dtype=int), diameter_um)) is apart
