"""The command ``demo``."""

from __future__ import annotations

from pathlib import Path

from .command import command
from .options import Out, ReplyOptions, SeedOptions
from .run_summary import print_run
from .screen import Progress

__all__ = ["demo"]


@command("Help", order=0)
def demo(
    seed_options: SeedOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    out: Out = Path("histosge-demo"),
) -> None:
    """Make a tissue whose truth is known, run the main job on it and end with a picture."""
    from histosge.workflow.demo import demo as run_demo

    print_run(run_demo(out, seed=seed_options.seed, progress=progress), reply_options)
