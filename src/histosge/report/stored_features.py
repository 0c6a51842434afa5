"""The image features that a run kept of its locations."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from histosge.encoders.feature_store import FeatureStore
from histosge.encoders.joined import JoinedRows
from histosge.errors import HistosgeError
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.prediction.factored import FactoredPrediction
from histosge.section.inputs import Inputs

__all__ = ["stored_features"]

# locations at which features must give the factor scores of the run, and how closely, in units of their spread
_COMPARED, _TOLERANCE = 64, 1e-2


def stored_features(
    folder: Path, predictor: CokrigingPredictor, prediction: FactoredPrediction
) -> Inputs | None:
    """Return what the model read at the predicted locations; ``None`` where the folder has it no more.

    A set of features is named by the hash of an image that is not at hand. It is the one of the run where the fit
    predicts the factor scores of the run from it.
    """
    if predictor.feature_transform is None or not predictor.covariance.image_weight > 0:
        candidates = [Inputs(prediction.locations)]
    else:
        sets = FeatureStore(folder).of_length(len(prediction))
        # joined encoders are stored one by one
        of_encoders = [
            [rows for rows in sets if rows.shape[1] == dim] for dim in predictor.feature_transform.dims
        ]
        candidates = [
            Inputs(prediction.locations, features=parts[0] if len(parts) == 1 else JoinedRows(parts))
            for parts in product(*of_encoders)
        ]
    rows = np.unique(np.linspace(0, len(prediction) - 1, _COMPARED).astype(int))
    most = _TOLERANCE * float(np.std(prediction.scores))
    for inputs in candidates:
        try:
            scores = predictor.factored(inputs.take(rows)).scores
        except (HistosgeError, ValueError):
            # features of another encoder
            continue
        if (
            scores.shape == prediction.scores[rows].shape
            and np.abs(scores - prediction.scores[rows]).max() <= most
        ):
            return inputs
    return None
