"""The command ``make-visium-hd``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .command import command
from .options import ReplyOptions, SeedOptions
from .screen import Progress, print_result

__all__ = ["make_visium_hd"]

_TISSUE = "Tissue"


@command("Help", name="make-visium-hd")
def make_visium_hd(
    seed_options: SeedOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    out: Annotated[Path, typer.Argument(help="Folder for outs/ and tissue_image.tif.")],
    side_mm: Annotated[
        float, typer.Option(help="Side of the capture area, mm; 6.5: a whole one.", rich_help_panel=_TISSUE)
    ] = 6.5,
    margin_mm: Annotated[
        float, typer.Option(help="Image and tissue around the capture area, mm.", rich_help_panel=_TISSUE)
    ] = 0.1,
    molecules: Annotated[
        float, typer.Option(help="Mean molecules of a bin of 8 µm.", rich_help_panel=_TISSUE)
    ] = 200.0,
    image_mpp: Annotated[
        float, typer.Option(help="µm per pixel of the image.", rich_help_panel=_TISSUE)
    ] = 0.5,
) -> None:
    """Make a Visium HD section of a synthetic tissue whose truth is known, as large as a real one, for trials."""
    from histosge.datasets.visium_hd import HDCapture, write_visium_hd

    capture = HDCapture(side_mm, margin_mm, molecules=molecules, seed=seed_options.seed)
    write_visium_hd(out, capture, mpp=image_mpp, progress=progress)
    record = {"outs": str(out / "outs"), "image": str(out / "tissue_image.tif")}
    lines = [f"{out}", f"  histosge run {record['outs']} --image {record['image']} --bin-um 8"]
    print_result(record, as_json=reply_options.json, lines=lines)
