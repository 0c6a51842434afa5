"""From options to a recipe."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from .options import EncoderOptions, ModelOptions, SeedOptions, assignments
from .screen import show_messages

__all__ = ["recipe_of"]


def recipe_of(model: ModelOptions, encoder: EncoderOptions, seed: SeedOptions) -> Any:
    """Return what is to be fitted."""
    from histosge.workflow.recipe import Recipe

    recipe = Recipe(
        model=model.model,
        preset=model.preset,
        options=assignments(model.set_),
        encoder=encoder.encoder,
        patch_um=encoder.patch_um,
        genes=model.genes,
        seed=seed.seed,
    )
    if not recipe.build().needs.features:
        _name_unused(encoder, recipe.model)
    return recipe


def _name_unused(encoder: EncoderOptions, model: str) -> None:
    """Print which of the options about image features are given to a model that reads none."""
    from histosge._runtime.messages import Message

    typed = [item.name for item in fields(encoder) if getattr(encoder, item.name) != item.default]
    if typed:
        names = " and ".join(f"`{name}`" for name in typed)
        show_messages([Message("warning", f"Not used: {names}. '{model}' reads no features of an encoder.")])
