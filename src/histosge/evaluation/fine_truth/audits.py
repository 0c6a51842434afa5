"""Audits of an evaluation against a finer truth: no fit may depend on what it is scored with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from histosge._runtime.types import Array, Float
from histosge.errors import DataError
from histosge.evaluation.audit import audit
from histosge.evaluation.ceiling_alarm import Halves, ceiling_excess
from histosge.evaluation.encoder_audit import audit_encoder
from histosge.evaluation.study import Study, encode_study
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.recipe import Recipe

__all__ = ["audit_fits", "refuse_known_noise"]


def audit_fits(section: Section, recipes: Sequence[Recipe], *, seed: int, compute: Compute) -> None:
    """Audit every model as an evaluation at spots does (:func:`histosge.evaluation.audit.audit`).

    Half of the spots take the part of the test spots: genes, expression, features and fit may not depend on them.

    Raises
    ------
    DataError
        When a step of a fit depends on spots that are not among its samples.
    """
    for recipe in recipes:
        study = replace(Study.of(section, genes="all", seed=seed), depth_adjusted=recipe.depth_adjusted)
        inputs = encode_study(study, recipe, compute)
        leaks = audit_encoder(study, recipe, inputs, compute) + audit(study, recipe.build(), inputs)
        if leaks:
            raise DataError(f"Leak: {' '.join(leak.message for leak in leaks)}")


def refuse_known_noise(name: str, predicted: Float[Array, "n g"], halves: Halves, *, scale: str) -> None:
    """Refuse a prediction that follows the noise of the molecules that it is scored with.

    Raises
    ------
    DataError
        When it explains more than can be explained without them.
    """
    excess = ceiling_excess(predicted, halves)
    if excess.certain:
        raise DataError(
            f"Leak: '{name}' scores above the noise ceiling at the scale {scale}: it explains {excess.explained:.3f} "
            f"of the variance, and {excess.possible:.3f} can be explained without the molecules of the truth. The "
            "model or the encoder has been given them."
        )
