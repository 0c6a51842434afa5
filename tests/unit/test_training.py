"""The training configuration and the loss curve."""

from __future__ import annotations

from histosge.models.deep.training import TrainingConfig, TrainingHistory, Validation


def test_training_stops_after_patience_and_takes_the_best() -> None:
    """Training is finished when the validation loss has not improved for ``patience`` epochs."""
    config = TrainingConfig(epochs=100, learning_rate=0.1, patience=3, validation=0.2)
    history = TrainingHistory()
    for loss in (3.0, 2.0, 1.0, 1.5, 1.4, 1.3):
        assert not history.is_finished(config)
        history = history.with_epoch(0.0, Validation(loss, loss), keep_best=True)
    assert history.is_finished(config)
    assert history.best_epoch == 3


def test_the_learning_rate_is_constant_or_a_cosine() -> None:
    """The cosine schedule starts at the learning rate and ends near zero."""
    cosine = TrainingConfig(epochs=10, learning_rate=0.2, schedule="cosine")
    assert cosine.learning_rate_at(0) == 0.2
    assert cosine.learning_rate_at(9) < 0.01
    assert TrainingConfig(epochs=10, learning_rate=0.2).learning_rate_at(9) == 0.2
