"""Check a section, whether its image matches its coordinates, the installation and the encoders' weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from histosge._runtime.device import resolve_device
from histosge._runtime.provenance import environment
from histosge.encoders import ENCODERS
from histosge.encoders.weights import has_weights
from histosge.errors import DataError, UsageError
from histosge.figures.png import save_png
from histosge.figures.section_overview import section_overview
from histosge.io.readers import read
from histosge.section import alignment
from histosge.section.section import Section
from histosge.section.target import tissue_of
from histosge.segmentation.cells import Cells

from .cell_checks import cell_checks
from .check import Check

__all__ = ["Check", "doctor"]

# in a spot of fewer pixels than this the colour is visible, but no texture
_COARSE_PX = 8


def doctor(
    section: Section | str | Path | None = None,
    *,
    image: str | Path | None = None,
    mpp: float | None = None,
    reader: str | None = None,
    bin_um: float | None = None,
    library_id: str | None = None,
    cells: str | Path | Cells | None = None,
    out: str | Path | None = None,
) -> tuple[Check, ...]:
    """Check a section, then the installation.

    Parameters
    ----------
    section
        A section or its path; ``None`` checks the installation alone.
    image, mpp, reader, bin_um, library_id
        As for :func:`histosge.read`. An image that does not match the coordinates is reported, not raised.
    cells
        Cells of the section, as for :class:`histosge.Target`.
    out
        Folder for ``section.png``, the spots drawn on the image.

    Raises
    ------
    UsageError, DataError
        When the section cannot be read at all, or cells are named without a section.

    Examples
    --------
    >>> import histosge as hs
    >>> checks = hs.doctor(hs.synthetic(columns=8, rows=8, genes=12).section)
    >>> checks[0].name, checks[0].finding
    ('section', '64 spots × 12 genes, synthetic')
    """
    checks: list[Check] = []
    if cells is not None and section is None:
        raise UsageError("`cells` belong to a section. Give its path, too.")
    if section is not None:
        if not isinstance(section, Section):
            section = read(
                section,
                image=image,
                mpp=mpp,
                reader=reader,
                bin_um=bin_um,
                library_id=library_id,
                trust_alignment=True,
            )
        checks += _section(section)
        if cells is not None:
            checks += cell_checks(section, cells)
        if out is not None:
            overview = section_overview(section, mask=tissue_of(section))
            figure = save_png(overview, Path(out) / "section.png")
            checks.append(Check("figure", "ok", f"spots on the image: {figure}"))
    return (*checks, *_installation(), *_encoders())


def _section(section: Section) -> Iterator[Check]:
    size = f"{len(section)} spots × {len(section.genes)} genes, {section.platform.name}"
    yield Check("section", "ok", size)
    for message in section.messages:
        yield Check("read", "note" if message.level == "warning" else "ok", message.text)
    scale = f"{section.mpp:.4g} µm per full-resolution pixel, pitch {section.pitch_um:.1f} µm"
    yield Check("scale", "ok", scale)
    if section.slide is None:
        yield Check("image", "note", "none; only models of position can be used. Give one as `image`.")
        return
    across = section.spots.diameter_um / section.slide.mpp
    coarse = across < _COARSE_PX
    finding = f"{section.slide.mpp:.4g} µm per pixel; a spot is {across:.1f} pixels wide"
    finding += "; too coarse for cell texture" if coarse else ""
    yield Check("image", "note" if coarse else "ok", finding)
    try:
        result = alignment.check_alignment(section)
        checked = alignment.refuse_misaligned(section, result)
    except DataError as error:
        yield Check("alignment", "bad", str(error))
    else:
        certain = result.is_clear and len(checked.messages) == len(section.messages)
        yield Check("alignment", "ok" if certain else "note", result.summary)
        for message in checked.messages[len(section.messages) :]:
            yield Check("alignment", "note", message.text)


def _installation() -> Iterator[Check]:
    packages = environment()["packages"]
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    missing = [name for name, version in packages.items() if version is None]
    needed = [name for name in missing if name in _needed()]
    finding = versions + "".join(f"; {name} is missing" for name in needed)
    yield Check("packages", "bad" if needed else "ok", finding)
    if optional := [name for name in missing if name not in needed]:
        absent = ", ".join(optional)
        yield Check(
            "optional packages", "note", f"not installed: {absent}. Run: pip install 'histosge[deep]'"
        )
    yield Check("device", "ok", f"the fastest device of this computer is {resolve_device('auto')}")


def _needed() -> set[str]:
    """Return the packages that every installation needs; those of extras are optional."""
    try:
        lines = [line for line in requires("histosge") or () if "extra ==" not in line]
    except PackageNotFoundError:
        return set()
    return {re.split(r"[^\w-]", line)[0] for line in lines}


def _encoders() -> Iterator[Check]:
    """Which encoders could run now: one line for those that can, one for those that cannot."""
    ready: list[str] = []
    absent: dict[bool, list[str]] = {False: [], True: []}
    for name, entry in ENCODERS.items():
        if has_weights(entry):
            ready.append(name)
        else:
            absent[entry.card.gated].append(name)
    yield Check("encoders", "ok", f"ready: {', '.join(ready)}")
    parts = [", ".join(absent[False])] if absent[False] else []
    parts += [f"after asking for access: {', '.join(absent[True])}"] if absent[True] else []
    if parts:
        yield Check("weights", "note", f"downloaded at their first use: {'; '.join(parts)}")
