"""The command ``datasets``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .command import command
from .list import listing
from .options import ReplyOptions
from .screen import Progress, print_result, print_table

__all__ = ["datasets"]


@command("Evaluate")
def datasets(
    reply_options: ReplyOptions,
    progress: Progress,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME…]", help="To fetch, or `dlpfc` for all of it; none: list."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; default: the user's data folder.", rich_help_panel="Output")
    ] = None,
    image: Annotated[bool, typer.Option(help="Fetch the full-resolution images, which are large.")] = True,
) -> None:
    """List the paper's data sets, or fetch some from their public homes; their hashes are pinned as they arrive."""
    from histosge.datasets.fetch import default_folder, fetch
    from histosge.datasets.public import PUBLIC

    if not names:
        header, rows = listing("datasets")
        if reply_options.json:
            content = {"datasets": [dict(zip(header, row, strict=True)) for row in rows]}
            print_result(content, as_json=True, lines=())
        else:
            print_table("datasets", header, rows)
        return
    chosen = [PUBLIC[name] for word in names for name in _family(word, tuple(PUBLIC)) or (word,)]
    folder = default_folder() if out is None else out
    paths = {
        dataset.name: fetch(dataset, folder, image=image, progress=progress)
        for dataset in dict.fromkeys(chosen)
    }
    lines = [f"{path}  {PUBLIC[name].caveat}".rstrip() for name, path in paths.items()]
    print_result({name: str(path) for name, path in paths.items()}, as_json=reply_options.json, lines=lines)


def _family(word: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the data sets that a word stands for: ``dlpfc`` for its twelve sections."""
    return tuple(name for name in names if name.startswith(f"{word}/"))
