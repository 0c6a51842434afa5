"""The command ``embed``."""

from __future__ import annotations

from pathlib import Path

from .command import command
from .options import (
    ComputeOptions,
    EncoderOptions,
    LocationOptions,
    ModelOptions,
    Out,
    ReadOptions,
    ReplyOptions,
    SectionOptions,
    SeedOptions,
)
from .recipe import recipe_of
from .screen import Progress, print_result

__all__ = ["embed"]


@command("Predict")
def embed(
    section_options: SectionOptions,
    read_options: ReadOptions,
    model_options: ModelOptions,
    encoder_options: EncoderOptions,
    seed_options: SeedOptions,
    location_options: LocationOptions,
    compute_options: ComputeOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    out: Out = Path("histosge-out"),
) -> None:
    """Compute and keep the image features that a run would need; the slow step with large encoders."""
    from histosge.workflow.stages import ENCODE_STAGES, Stages

    stages = Stages(ENCODE_STAGES, progress)
    with stages("read"):
        # the stage is on the screen before this import, which takes a second
        from histosge.workflow.steps import encode_to_folder

        section = read_options.read(section_options.section)
    result = encode_to_folder(
        section,
        recipe_of(model_options, encoder_options, seed_options),
        target=location_options.target(section),
        out=out,
        compute=compute_options.compute(encoder_options.weights, progress),
        stages=stages,
    )
    lines = [f"{result.locations} locations × {result.dim} features in {result.store}"]
    print_result(result.as_dict(), as_json=reply_options.json, lines=lines)
