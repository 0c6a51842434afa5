"""Examine the installation, the weights, and whether an image and its coordinates belong together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from histosge._runtime.device import resolve_device
from histosge._runtime.provenance import environment
from histosge.encoders import ENCODERS
from histosge.encoders.weights import is_cached
from histosge.errors import DataError
from histosge.figures import maps
from histosge.io.readers import read
from histosge.section import alignment
from histosge.section.section import Section
from histosge.section.target import tissue_of

__all__ = ["Check", "examine"]

# a spot narrower than this many pixels shows its colour but no texture
_COARSE_PX = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    verdict: Literal["ok", "note", "bad"]
    finding: str

    def as_dict(self) -> dict[str, Any]:
        """Return the check as plain values."""
        return asdict(self)


def examine(
    path: Path | None = None, *, image: Path | None = None, mpp: float | None = None, out: Path | None = None
) -> list[Check]:
    """Return what was found of the installation and, where ``path`` is given, of a section.

    Parameters
    ----------
    path, image, mpp
        As for :func:`histosge.read`. A misfit is reported, not raised.
    out
        Folder for ``section.png``, the spots drawn on the image.

    Raises
    ------
    UsageError, DataError
        When the section cannot be read at all.
    """
    checks = [*_installation(), *_weights()]
    if path is None:
        return checks
    section = read(path, image=image, mpp=mpp, trust_alignment=True)
    checks += [
        Check("read", "note" if note.level == "warning" else "ok", note.text) for note in section.messages
    ]
    checks += _section(section)
    if out is not None:
        picture = maps.save(maps.section_overview(section, mask=tissue_of(section)), out / "section.png")
        checks.append(Check("picture", "ok", f"spots on the image: {picture}"))
    return checks


def _installation() -> list[Check]:
    packages = environment()["packages"]
    missing = [name for name, version in packages.items() if version is None]
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    return [
        Check(
            "packages",
            "bad" if missing else "ok",
            versions + "".join(f"; {name} is missing" for name in missing),
        ),
        Check("device", "ok", f"computes on {resolve_device('auto')}"),
    ]


def _weights() -> list[Check]:
    """Tell which encoders could run now; never asks the network."""
    checks = []
    for name, entry in ENCODERS.items():
        if entry.card.source is None:
            checks.append(Check(f"encoder {name}", "ok", "built in"))
        elif is_cached(entry.card):
            checks.append(Check(f"encoder {name}", "ok", "weights are on this machine"))
        else:
            gate = "ask for access first; " if entry.card.gated else ""
            checks.append(Check(f"encoder {name}", "note", f"no weights here: {gate}{entry.card.source}"))
    return checks


def _section(section: Section) -> list[Check]:
    checks = [
        Check("section", "ok", f"{len(section)} spots × {len(section.genes)} genes, {section.platform.name}"),
        Check(
            "scale", "ok", f"{section.mpp:.4g} µm per full-resolution pixel, pitch {section.pitch_um:.1f} µm"
        ),
    ]
    if section.slide is None:
        return [
            *checks,
            Check("image", "note", "none; only models of position can be used. Give one with --image."),
        ]
    across = section.spots.diameter_um / section.slide.mpp
    coarse = "; too coarse for cell texture" if across < _COARSE_PX else ""
    finding = f"{section.slide.mpp:.4g} µm per pixel; a spot is {across:.1f} pixels across{coarse}"
    checks.append(Check("image", "note" if coarse else "ok", finding))
    try:
        alignment.refuse_misfit(section)
    except DataError as error:
        return [*checks, Check("alignment", "bad", str(error))]
    return [*checks, Check("alignment", "ok", alignment.check(section).summary)]
