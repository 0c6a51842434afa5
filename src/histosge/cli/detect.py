"""The command ``detect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .command import command
from .options import (
    ComputeOptions,
    EncoderOptions,
    ModelOptions,
    Out,
    ReadOptions,
    ReplyOptions,
    SectionOptions,
    SeedOptions,
)
from .recipe import recipe_of
from .screen import Progress, print_result

__all__ = ["detect"]

_DETECTION = "Detection"


@command("Use results")
def detect(
    section_options: SectionOptions,
    gene: Annotated[list[str], typer.Argument(metavar="GENE...", help="Genes to detect.")],
    read_options: ReadOptions,
    model_options: ModelOptions,
    encoder_options: EncoderOptions,
    seed_options: SeedOptions,
    compute_options: ComputeOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    above: Annotated[
        str,
        typer.Option(
            help="Threshold: a number in log1p(CP10k), a multiple of the section's expression (1.5x), or a quantile of "
            "its spots (q0.75).",
            rich_help_panel=_DETECTION,
        ),
    ],
    tile_um: Annotated[
        float, typer.Option(help="Width of the square tiles in µm.", rich_help_panel=_DETECTION)
    ],
    fdr: Annotated[
        float,
        typer.Option(help="Expected share of false ones among detected tiles.", rich_help_panel=_DETECTION),
    ] = 0.1,
    fit: Annotated[
        Path | None,
        typer.Option(
            help="Folder that `histosge fit` or `histosge run` wrote to; without it the section is fitted.",
            rich_help_panel="Model",
        ),
    ] = None,
    out: Out = Path("histosge-detection"),
) -> None:
    """Find the tiles in which a gene is above a threshold, with a bounded share of false ones."""
    from histosge.workflow.detection import detect as detect_genes
    from histosge.workflow.detection import recipe_with
    from histosge.workflow.detection_files import refuse_overwriting, write_detection
    from histosge.workflow.fit import fit as fit_section
    from histosge.workflow.saved_fit import load_fit

    section = read_options.read(section_options.section)
    refuse_overwriting(out, section)
    compute = compute_options.compute(encoder_options.weights, progress)
    if fit is None:
        recipe = recipe_with(recipe_of(model_options, encoder_options, seed_options), gene, section)
        fitted = fit_section(section, recipe, compute=compute)
    else:
        fitted = load_fit(section, fit / "fit", compute=compute)
    detection = detect_genes(
        fitted,
        section,
        gene,
        above=above,
        tile_um=tile_um,
        fdr=fdr,
        seed=seed_options.seed,
        compute=compute,
    )
    paths = write_detection(detection, section, out)
    record = {**detection.summary(), "files": [path.name for path in paths]}
    lines = [f"{words}." for words in detection.sentences]
    print_result(record, as_json=reply_options.json, lines=[*lines, *map(str, paths)])
