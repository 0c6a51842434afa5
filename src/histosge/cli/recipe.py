"""From options to a recipe."""

from __future__ import annotations

from typing import Any

from .options import EncoderOptions, ModelOptions, SeedOptions, assignments

__all__ = ["recipe_of"]


def recipe_of(model: ModelOptions, encoder: EncoderOptions, seed: SeedOptions) -> Any:
    """Return what is to be fitted."""
    from histosge.workflow.recipe import Recipe

    return Recipe(
        model=model.model,
        preset=model.preset,
        options=assignments(model.set_),
        encoder=encoder.encoder,
        patch_um=encoder.patch_um,
        genes=model.genes,
        seed=seed.seed,
    )
