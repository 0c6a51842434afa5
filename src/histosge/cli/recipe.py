"""From options to a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from histosge.errors import UsageError

from .encoder_values import patch_widths, weight_files, with_features
from .options import (
    ComputeOptions,
    DepthOptions,
    EncoderOptions,
    FitOptions,
    ModelOptions,
    SeedOptions,
    assignments,
)
from .screen import show_messages

__all__ = ["name_unused_of_fit", "recipe_of", "refuse_other_files"]


def recipe_of(
    model: ModelOptions,
    encoder: EncoderOptions,
    seed: SeedOptions,
    *,
    depth: DepthOptions = DepthOptions(),
) -> Any:
    """Return what is to be fitted."""
    from histosge.workflow.recipe import Recipe

    recipe = Recipe(
        model=model.model,
        preset=model.preset,
        options=assignments(model.set_),
        encoder=with_features(encoder.encoder, encoder.features),
        patch_um=patch_widths(encoder.patch_um),
        genes=model.genes,
        seed=seed.seed,
        depth_adjusted=depth.depth_adjusted,
    )
    if not recipe.build().needs.features:
        _name_unused(encoder, recipe.model)
    else:
        refuse_other_files(weight_files(encoder.weights), [recipe.encoder])
    return recipe


def refuse_other_files(weights: Any, encoders: Sequence[str]) -> None:
    """Refuse weights of encoders that are not asked for, and say where no encoder reads the file that is given.

    Raises
    ------
    UsageError
        For the name of an encoder that is none of ``encoders``.
    """
    from histosge._runtime.messages import Message
    from histosge.encoders import ENCODERS
    from histosge.encoders.joined import names_of

    if weights is None:
        return
    known = [name for encoder in encoders for name in names_of(encoder)]
    for name in weights if isinstance(weights, dict) else ():
        if name not in known:
            raise UsageError(f"`weights` names '{name}', but the `encoder` is {', '.join(encoders)}.")
    readers = [name for name in known if ENCODERS[name].reads_weights]
    unused = [name for name in weights if name not in readers] if isinstance(weights, dict) else []
    if unused or not readers:
        text = f"Not used: `weights`. '{(unused or known)[0]}' has no weights."
        show_messages([Message("warning", text)])


def name_unused_of_fit(fit: FitOptions, compute: ComputeOptions) -> None:
    """Print which of the options about an encoder mean nothing to a fit that was made before.

    Raises
    ------
    UsageError
        Where there is no fit, and for the weights of an encoder that is not the fit's.
    """
    from histosge._runtime.messages import Message
    from histosge.encoders import ENCODERS
    from histosge.workflow.fit_metadata import FitMetadata

    weights, precision = weight_files(fit.weights), compute.precision != "auto"
    if weights is None and not precision:
        return
    recipe = FitMetadata.read(fit.fit / "fit").recipe
    reads = recipe.build().needs.features
    if reads:
        refuse_other_files(weights, [recipe.encoder])
    typed = [] if reads or weights is None else ["`weights`"]
    typed += ["`precision`"] if precision and not (reads and ENCODERS[recipe.encoder].reads_weights) else []
    if typed:
        why = f"'{recipe.encoder}' has no weights" if reads else f"'{recipe.model}' reads no features"
        show_messages([Message("warning", f"Not used: {' and '.join(typed)}. {why}.")])


def _name_unused(encoder: EncoderOptions, model: str) -> None:
    """Print which of the options about image features are given to a model that reads none."""
    from histosge._runtime.messages import Message

    typed = [item.name for item in fields(encoder) if getattr(encoder, item.name) != item.default]
    if typed:
        names = " and ".join(f"`{name}`" for name in typed)
        show_messages([Message("warning", f"Not used: {names}. '{model}' reads no features of an encoder.")])
