"""The command ``fit``."""

from __future__ import annotations

from pathlib import Path

from .command import command
from .options import (
    AuxiliaryOptions,
    ComputeOptions,
    DepthOptions,
    EncoderOptions,
    ModelOptions,
    Out,
    ProgramOptions,
    ReadOptions,
    ReplyOptions,
    SectionOptions,
    SeedOptions,
)
from .recipe import recipe_of
from .run_summary import auxiliary_lines, program_lines
from .screen import Progress, print_result, show_messages

__all__ = ["fit"]


@command("Predict")
def fit(
    section_options: SectionOptions,
    read_options: ReadOptions,
    auxiliary_options: AuxiliaryOptions,
    program_options: ProgramOptions,
    model_options: ModelOptions,
    depth_options: DepthOptions,
    encoder_options: EncoderOptions,
    seed_options: SeedOptions,
    compute_options: ComputeOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    out: Out = Path("histosge-out"),
) -> None:
    """Fit a model to a section and keep it, for `histosge predict`."""
    from histosge.workflow.stages import FIT_STAGES, Stages

    stages = Stages(FIT_STAGES, progress)
    with stages("read"):
        # the stage is on the screen before this import, which takes a second
        from histosge.workflow.steps import fit_to_folder

        section = read_options.read(section_options.section)
        auxiliary = auxiliary_options.read(read_options)
        programs = program_options.read()
    result = fit_to_folder(
        section,
        recipe_of(model_options, encoder_options, seed_options, depth=depth_options),
        out=out,
        compute=compute_options.compute(encoder_options.weights, progress),
        auxiliary=auxiliary,
        programs=programs,
        stages=stages,
    )
    show_messages(result.fit.messages)
    record = result.as_dict()
    fitted = f"fitted {len(record['genes'])} genes; kept in {out / 'fit'}"
    print_result(
        record, as_json=reply_options.json, lines=[fitted, *auxiliary_lines(record), *program_lines(record)]
    )
