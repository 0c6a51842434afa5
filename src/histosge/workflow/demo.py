"""The main job on a tissue whose truth is known: nothing to download, nothing to sign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import writable_folder
from histosge._runtime.device import resolve_device
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.io.readers import read
from histosge.section.target import Target

from .fit import Compute
from .recipe import Recipe
from .run import run

__all__ = ["demo"]


def demo(
    out: Path, *, seed: int = 0, progress: Callable[[int, int, str], None] | None = None
) -> dict[str, Any]:
    """Write a synthetic section as a Space Ranger folder, run on it, and return the record of the run.

    Parameters
    ----------
    out
        Receives ``section/``, which ``histosge run`` takes like any other, and the results.
    seed
        Another seed, another tissue.
    progress
        Called with (done, total, text) as work proceeds.
    """
    writable_folder(out)
    folder = out / "section"
    write_spaceranger(synthetic(seed=seed).section, folder)
    compute = Compute(resolve_device("cpu"), progress=progress)
    return run(
        read(folder), Recipe(genes="all", seed=seed), target=Target(upsample=4), out=out, compute=compute
    )
