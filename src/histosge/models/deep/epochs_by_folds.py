"""The number of epochs of a system, chosen by predicting each part of the spots from the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histosge._runtime.device import seed_everything
from histosge._runtime.types import Array
from histosge.models.base import Runtime
from histosge.section.inputs import Samples

from .inputs import InputScaling
from .system import DeepSystem, refuse_few_spots
from .system_task import SystemTask
from .training import train

__all__ = ["epochs_by_folds"]


def epochs_by_folds(
    model: DeepSystem, samples: Samples, folds: int, *, seed: int = 0, runtime: Runtime = Runtime()
) -> int:
    """Return the epoch with the least validation loss, pooled over folds.

    Parameters
    ----------
    model
        Trained for all its epochs once per fold, without early stopping.
    samples
        Spots that are fitted; each is a validation spot of one fold.
    folds
        Their number; no more than there are spots.
    seed
        Draws the folds and the first weights.
    runtime
        Training resumes from a folder of each fold beside the checkpoint.

    Raises
    ------
    UsageError
        For fewer than 4 spots.
    """
    refuse_few_spots(samples)
    model = replace(model, validation=0.0, patience=None)
    order = np.random.default_rng([seed, len(samples)]).permutation(len(samples))
    # two spots at least are left to train on
    parts = np.array_split(order, min(folds, max(len(samples) // 2, 2)))
    pooled = np.zeros(model.epochs)
    for fold, part in enumerate(parts):
        folder = None if runtime.checkpoint is None else runtime.checkpoint / f"fold{fold}"
        of_fold = replace(runtime, checkpoint=folder)
        pooled += _losses(model, samples, np.sort(part), seed=seed, runtime=of_fold) * len(part)
    return int(np.argmin(pooled)) + 1


def _losses(model: DeepSystem, samples: Samples, validating: Array, *, seed: int, runtime: Runtime) -> Array:
    """Return the validation loss of each epoch."""
    training = np.setdiff1d(np.arange(len(samples)), validating)
    fitted = samples.take(training)
    scaling = InputScaling.of(
        fitted.inputs, model.needs, standardise=model.scales_features, join_position=model.joins_position
    )
    inputs = model.network_inputs(scaling, samples.inputs)
    targets = model.targets_of(fitted.dense_expression)
    encoded = targets.encode(samples.dense_expression)
    seed_everything(seed)
    network = model.build_network(inputs.columns, targets.width).to(runtime.device)
    # first weights may be measured: on the spots trained on
    model.initialise(network, model.network_inputs(scaling, fitted.inputs), encoded[training])
    task = SystemTask.of(
        model, network, inputs, encoded, seed=seed, device=runtime.device, validating=validating
    )
    return np.array(train(task, model, seed=seed, runtime=runtime).validation)
