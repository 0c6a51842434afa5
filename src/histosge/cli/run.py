"""The command ``run``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .command import command
from .location_options import LocationOptions
from .options import (
    AuxiliaryOptions,
    ComputeOptions,
    DepthOptions,
    EncoderOptions,
    ModelOptions,
    Out,
    OutputOptions,
    ProgramOptions,
    ReadOptions,
    ReplyOptions,
    SectionOptions,
    SeedOptions,
)
from .recipe import recipe_of
from .run_summary import print_run
from .screen import Progress, show_messages
from .worker_options import WorkerOptions

__all__ = ["run"]


@command("Predict", order=0)
def run(
    section_options: SectionOptions,
    read_options: ReadOptions,
    auxiliary_options: AuxiliaryOptions,
    program_options: ProgramOptions,
    model_options: ModelOptions,
    depth_options: DepthOptions,
    encoder_options: EncoderOptions,
    seed_options: SeedOptions,
    location_options: LocationOptions,
    compute_options: ComputeOptions,
    work_options: WorkerOptions,
    output_options: OutputOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    out: Out = Path("histosge-out"),
) -> None:
    """Read a section, fit a model, predict at more locations than were measured, write files and figures.

    Given an image alone, fit the auxiliary sections and predict it from its image features.
    """
    from histosge.workflow.stages import RUN_STAGES, Stages

    stages = Stages(RUN_STAGES, progress)
    with stages("read"):
        # the stage is on the screen before these imports, which take a second
        from histosge.workflow.job import Job
        from histosge.workflow.run import run_job

        section = read_options.read(section_options.section)
        auxiliary = auxiliary_options.read(read_options)
        programs = program_options.read()
    compute = compute_options.compute(encoder_options.weights, progress)
    with work_options.for_sums() as executor:
        result = run_job(
            section,
            recipe_of(model_options, encoder_options, seed_options, depth=depth_options),
            location_options.target(section),
            auxiliary=auxiliary,
            programs=programs,
            job=Job.of(out, stages, replace(compute, executor=executor), output_options.outputs()),
        )
    # those of the reader are printed already
    show_messages(result.messages[len(section.messages) :])
    print_run(result, reply_options)
