"""Measurements that no other spot bears out are believed only so far."""

from __future__ import annotations

import numpy as np
from cokriging_samples import EXPRESSION, KEPT, OUT, SAMPLES, samples_of

from histosge.models import predict
from histosge.models.cokriging.model import Cokriging
from histosge.prediction.winsorise import winsorised

RNG = np.random.default_rng(3)
EXPECTED = RNG.normal(size=(400, 2)) @ RNG.normal(size=(2, 7))
NOISE = RNG.uniform(-1, 1, (400, 7))


def test_what_is_near_its_expectation_stays() -> None:
    """Where no error reaches three deviations, values come back as they are, centred."""
    values = EXPECTED + NOISE
    assert np.allclose(winsorised(values, EXPECTED, 3.0), values - values.mean(axis=0))


def test_what_no_other_spot_bears_out_is_pulled_in() -> None:
    """One value far from its expectation comes to three deviations of the gene's error; all others stay."""
    values = EXPECTED + NOISE
    values[5, 2] += 40.0
    found = winsorised(values, EXPECTED, 3.0)
    error = values - EXPECTED
    less = error[5, 2] - 3.0 * np.sqrt((error[:, 2] ** 2).mean())
    expected = values.copy()
    expected[5, 2] -= less
    assert less > 20
    assert np.allclose(found, expected - expected.mean(axis=0))


def test_what_others_bear_out_stays_however_far() -> None:
    """A value that all other spots expect is kept, ten deviations from the mean as it may be."""
    expected = EXPECTED.copy()
    expected[7] = 30.0
    values = expected + NOISE
    found = winsorised(values, expected, 3.0)
    assert abs(values[7, 4]) > 5 * values[:, 4].std()
    assert np.allclose(found, values - values.mean(axis=0))


def test_the_reach_is_all_that_is_asked() -> None:
    """With a reach that nothing exceeds, the model is the one that believes everything."""
    fitted = (Cokriging(winsorise_sd=reach).fit(SAMPLES.take(KEPT)) for reach in (1e6, None))
    far, off = (predict(model, SAMPLES.inputs.take(OUT)).mean for model in fitted)
    assert np.allclose(far, off, atol=1e-4)


def test_wild_values_do_less_harm() -> None:
    """Where one value in fifty is wild, predictions are nearer to what was there before than without pulling in."""
    wild = EXPRESSION.copy()
    hit = np.random.default_rng(4).random(wild.shape) < 0.02
    wild[hit] += 6.0
    fitted = samples_of(expression=wild).take(KEPT)
    places = SAMPLES.inputs.take(OUT)

    def error(reach: float | None) -> float:
        found = predict(Cokriging(winsorise_sd=reach).fit(fitted), places).mean
        found = found - found.mean(axis=0) + EXPRESSION[OUT].mean(axis=0)
        return float(((found - EXPRESSION[OUT]) ** 2).mean())

    assert error(3.0) < 0.97 * error(None)
