"""Training spots that locations attend to."""

from __future__ import annotations

import numpy as np

from histosge.models.deep.attended_spots import AttendedSpots
from histosge.models.deep.inputs import NetworkInputs

XY = np.random.default_rng(0).uniform(0, 5, (12, 2)).astype(np.float32)
FEATURES = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
SPOTS = NetworkInputs(XY, XY, FEATURES)


def test_the_nearest_spots_are_attended_to() -> None:
    """Chosen spots and their distances are those of a full table of distances."""
    locations = np.random.default_rng(2).uniform(0, 5, (7, 2)).astype(np.float32)
    attended = AttendedSpots.of(SPOTS, "cpu", neighbours=4).attended_from(locations)
    distance = np.linalg.norm(locations[:, None] - XY[None], axis=2)
    nearest = np.argsort(distance, axis=1)[:, :4]
    assert attended.chosen is not None
    assert np.allclose(attended.spots.xy[attended.chosen], XY[nearest])
    assert np.allclose(attended.spots.vectors[attended.chosen], FEATURES[nearest])
    assert np.allclose(attended.distance, np.sort(distance, axis=1)[:, :4], atol=1e-5)


def test_a_training_spot_does_not_attend_to_itself_twice() -> None:
    """At training spots the spot itself is left out of the nearest, and hidden among all."""
    nearest = AttendedSpots.of(SPOTS, "cpu", neighbours=4).attended_from(XY)
    assert nearest.distance.min() > 0
    among_all = AttendedSpots.of(SPOTS, "cpu", neighbours=None).attended_from(XY)
    assert among_all.hidden is not None
    assert np.array_equal(among_all.hidden, np.eye(12, dtype=bool))
