"""The command ``predict``."""

from __future__ import annotations

from pathlib import Path

from .command import command
from .location_options import LocationOptions
from .options import (
    ComputeOptions,
    FitOptions,
    Out,
    OutputOptions,
    ProgramOptions,
    ReadOptions,
    ReplyOptions,
    SectionOptions,
)
from .recipe import name_unused_of_fit
from .run_summary import print_run
from .screen import Progress, show_messages

__all__ = ["predict"]


@command("Predict")
def predict(
    section_options: SectionOptions,
    read_options: ReadOptions,
    fit_options: FitOptions,
    program_options: ProgramOptions,
    location_options: LocationOptions,
    compute_options: ComputeOptions,
    output_options: OutputOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    out: Out = Path("histosge-out"),
) -> None:
    """Predict with a model fitted before, at other locations, or an image of a section that was never measured."""
    from histosge.workflow.stages import PREDICT_STAGES, Stages

    stages = Stages(PREDICT_STAGES, progress)
    with stages("read"):
        # the stage is on the screen before this import, which takes a second
        from histosge.workflow.steps import predict_to_folder

        section = read_options.read(section_options.section)
    programs = program_options.read()
    name_unused_of_fit(fit_options, compute_options)
    result = predict_to_folder(
        section,
        fit_options.fit,
        target=location_options.target(section),
        out=out,
        programs=programs,
        compute=compute_options.compute(fit_options.weights, progress),
        outputs=output_options.outputs(),
        stages=stages,
    )
    # those of the reader are printed already
    show_messages(result.messages[len(section.messages) :])
    print_run(result, reply_options)
