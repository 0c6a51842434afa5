"""How sure domains of predicted values are: by the spots around, or not stated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histosge.domains import Division, DomainInput, build_method, find_domains
from histosge.domains.consensus import consensus
from histosge.domains.predicted_confidence import confidence_by_spots

SPOTS = 100.0 * np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), axis=-1).reshape(-1, 2)
FINE = 50.0 * np.stack(np.meshgrid(np.arange(30.0), np.arange(24.0)), axis=-1).reshape(-1, 2) - 25.0
TRUE = (SPOTS[:, 0] > 550).astype(int)


def test_confidence_of_predictions_is_that_of_measured_values() -> None:
    """It is high where spots agree, low where they do not, between at borders, and NaN where there are none."""
    measured = Division(TRUE, np.eye(2)[1 - TRUE], None)
    # predicted: the lower half of the second domain is the first, in smooth values that agree with each other
    wrong = (FINE[:, 0] > 550) & (FINE[:, 1] > 550)
    found = consensus([np.eye(2)[((FINE[:, 0] > 550) & ~wrong).astype(int)]] * 5)
    assert (found.confidence == 1).all()

    sure = confidence_by_spots(found, FINE, measured=measured, spots_um=SPOTS)

    covered, border = FINE[:, 0] < 1200, np.abs(FINE[:, 0] - 550) < 60
    assert np.isnan(sure[FINE[:, 0] > 1260]).all()
    assert (sure[covered & wrong & ~border] == 0).all()
    assert (sure[covered & ~wrong & ~border] == 1).all()
    assert 0.4 < sure[border & ~wrong].mean() < 1


def test_confidence_without_measured_spots_is_not_stated() -> None:
    """Of predictions alone there is no confidence, and a message says why; of the same values measured there is one."""
    values = np.random.default_rng(0).normal(size=(144, 30)) + 2.0 * TRUE[:, None] * np.arange(30) / 30
    data = DomainInput("made", SPOTS.astype(str)[:, 0], SPOTS, values, "made")
    method = build_method("spatial_mixture", pairs=2)

    alone = find_domains(replace(data, predicted=True), method, clusters=2)
    beside = find_domains(replace(data, predicted=True, spots=data), method, clusters=2)
    measured = find_domains(data, method, clusters=2)

    assert alone.confidence is None
    assert "not stated" in alone.messages[-1].text
    assert beside.confidence is not None
    assert measured.confidence is not None
    assert np.isfinite(beside.confidence).all()
    assert not beside.messages
    assert np.array_equal(alone.domain, measured.domain)
