"""The training configuration and the loss curve."""

from __future__ import annotations

import pytest

from histosge.errors import UsageError
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


@pytest.mark.parametrize(("better_than", "epochs"), [("best", 7), ("previous", 5)])
def test_training_can_stop_by_its_own_loss(better_than: str, epochs: int) -> None:
    """Without validation spots, it ends where the training loss gains less than asked for, at the last epoch."""
    config = TrainingConfig(
        epochs=100, patience=3, stops_by="training", least_gain=0.1, better_than=better_than
    )
    history = TrainingHistory()
    # 1.88 gains more than 0.1 compared with the best loss so far, 2.0, and less compared with the one before it
    losses = (3.0, 2.0, 1.95, 1.88, 1.87, 1.86, 1.85)
    while not history.is_finished(config):
        history = history.with_epoch(losses[len(history.training)], None, keep_best=True)
    assert (len(history.training), history.best_epoch) == (epochs, epochs)


def test_early_stopping_needs_a_loss_to_watch() -> None:
    """That of validation spots needs some; a gain is not negative."""
    with pytest.raises(UsageError, match="Early stopping needs"):
        TrainingConfig(patience=3)
    with pytest.raises(UsageError, match="least_gain"):
        TrainingConfig(least_gain=-0.1)


def test_the_learning_rate_is_constant_or_a_cosine() -> None:
    """The cosine schedule starts at the learning rate and ends near zero."""
    cosine = TrainingConfig(epochs=10, learning_rate=0.2, schedule="cosine")
    assert cosine.learning_rate_at(0) == 0.2
    assert cosine.learning_rate_at(9) < 0.01
    assert TrainingConfig(epochs=10, learning_rate=0.2).learning_rate_at(9) == 0.2
