"""The section and the prediction that the tests of writers share."""

from __future__ import annotations

import numpy as np

from histosge.datasets import synthetic
from histosge.prediction.prediction import Prediction
from histosge.section.locations import upsampled

SECTION = synthetic(columns=8, rows=8, genes=12).section
LOCATIONS = upsampled(SECTION, 4)
MEAN = np.random.default_rng(0).gamma(2.0, 1.0, (len(LOCATIONS), 12)).astype(np.float32)
PROVENANCE = {
    "seed": 3,
    "nothing": None,
    "list": [1, "two", None],
    "nested": {"a/b": 1.5},
    "names": ["x", "y"],
}
PREDICTION = Prediction(LOCATIONS, SECTION.genes, MEAN, 0.1 + MEAN / 10, PROVENANCE)
