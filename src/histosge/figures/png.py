"""Write figures as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from histosge._runtime.atomic_files import atomic_path
from histosge.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

__all__ = ["save_png"]

_SOFTWARE = "histosge"
# white around what is drawn
_PAD_IN = 0.08
# of zlib: a third of the time of the usual 6, and 3 % more bytes
_COMPRESSION = 2
# text comes before the pixels in the files that are written here
_START = 1 << 16


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return the path; the file appears whole or not at all.

    Raises
    ------
    UsageError
        When an image of another program is at ``path``: it may be a section's.
    OutputError
        When the disk is full.
    """
    if path.is_file() and not _is_own(path):
        raise UsageError(f"'{path}' is a file that histosge did not write; choose another `out`.")
    with atomic_path(path) as draft:
        figure.savefig(
            draft,
            format="png",
            bbox_inches=_drawn_area(figure),
            metadata={"Software": _SOFTWARE},
            pil_kwargs={"compress_level": _COMPRESSION},
        )
    return path


def _drawn_area(figure: Figure) -> Bbox:
    """Return the part of the figure that is drawn on, in inches, once the panels are laid out.

    With ``bbox_inches="tight"`` Matplotlib draws everything twice: it finds the layout by drawing.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        # with any engine, even one that does nothing, Matplotlib resamples all images once more before it draws them
        with rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)
    return figure.get_tightbbox(renderer).padded(_PAD_IN)


def _is_own(path: Path) -> bool:
    with path.open("rb") as stream:
        return f"Software\0{_SOFTWARE}".encode() in stream.read(_START)
