"""Several sections of a cohort on one page: one gene in all of them, with one colour scale and one zoom."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.names import near_misses, positions
from histosge._runtime.types import Array, Bool
from histosge.errors import UsageError
from histosge.geometry.covered_area import covered_area
from histosge.geometry.spacing import median_spacing_um
from histosge.io.own_files import refuse_foreign
from histosge.io.writers import factors
from histosge.prediction.accuracy import RELIABLE
from histosge.prediction.factored import FactoredPrediction
from histosge.section.gene_aliases import aliases_of, named_by_alias
from histosge.section.marker_genes import are_markers

from . import folder as folders
from .codes import pack
from .contents import gene_ids
from .gene_names import gene_labels
from .joined_genes import JoinedGenes, joined_genes
from .on_tissue import on_tissue
from .pack import blob
from .page import asset
from .page_data import colours
from .pyramid import jpeg_of

__all__ = ["NAME", "holds_sections", "write_sections"]

#: the page, in the folder of a cohort
NAME = "sections.html"
# of all sections together: a page opens in seconds up to some tens of megabytes
_MOST_GENES, _IMAGE_PX = 1500, 700
# radius of a tile in spacings of the locations: what lies beyond their area is cut off
_REACH = 1.0
_SCRIPTS = ("blobs", "colour", "outlines", "paint", "sections")


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """A section of the page: its record, prediction and image, which locations are on tissue, and genes to keep."""

    name: str
    record: Mapping[str, Any]
    files: folders.RunFiles
    prediction: FactoredPrediction
    shown: Bool[np.ndarray, " n"]
    drawn: Bool[np.ndarray, " g"]

    def called(self, genes: Array) -> _Panel:
        """Return the panel with other names of its genes."""
        prediction = self.prediction
        return replace(self, prediction=replace(prediction, basis=replace(prediction.basis, genes=genes)))


def holds_sections(folder: Path) -> bool:
    """Return whether a folder is that of a cohort: without a run of its own, with factors in runs in ``sections/``."""
    own = (folder / "run.json").is_file()
    return not own and any((run / factors.NAME).is_file() for run in _runs(folder))


def write_sections(folder: Path, *, first: str | None = None) -> Path:
    """Write ``sections.html`` into the folder of a cohort and return its path.

    The page opens from disk. It has the genes that are reliable in a section, known markers, and those that were drawn,
    at most 1500. All sections have one colour scale, one scale of length and one zoom.

    Parameters
    ----------
    folder
        Folder of a cohort, with a run in each folder of ``sections/``.
    first
        Gene that is shown first; by default the one that is most accurate on average.

    Raises
    ------
    UsageError
        When there is no run with factors, or the gene is on none of the sections.
    DataError
        When files of a run are damaged.

    Examples
    --------
    >>> write_sections(Path("histosge-cohort"), first="ERBB2")  # doctest: +SKIP
    """
    path = folder / NAME
    refuse_foreign(path)
    panels = [panel for run in _runs(folder) if (panel := _panel(run)) is not None]
    if not panels:
        raise UsageError(f"Expected runs with factors.h5ad in '{folder / 'sections'}', got none.")
    joined = joined_genes(
        [panel.prediction.genes for panel in panels],
        [gene_ids(panel.prediction.genes, panel.files.section) for panel in panels],
    )
    panels = [panel.called(names) for panel, names in zip(panels, joined.names, strict=True)]
    page = _render(folder.resolve().name, panels, genes_of(panels), joined=joined, first=first)
    with atomic_path(path) as draft:
        draft.write_text(page, encoding="utf-8")
    return path


def _runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in (folder / "sections").glob("*/run.json"))


def _panel(run: Path) -> _Panel | None:
    """Return a section; nothing for one of a model without factors."""
    record = folders.record(run)
    if factors.NAME not in record.get("files", {factors.NAME: ""}) or not (run / factors.NAME).is_file():
        return None
    files = folders.read_files(run, record)
    if not isinstance(files.prediction, FactoredPrediction):
        return None
    pitch_um = float(record["section"].get("pitch_um") or 100.0)
    shown = on_tissue(files.prediction.locations, files.measured, pitch_um)
    shown = shown if shown.any() else np.ones(len(files.prediction), dtype=bool)
    drawn = np.isin(files.prediction.genes, record.get("genes_shown", ()))
    return _Panel(run.name, record, files, files.prediction, shown=shown, drawn=drawn)


def genes_of(panels: Sequence[_Panel]) -> Array:
    """Return the genes of the page, the most accurate on average first."""
    sums: dict[str, list[float]] = {}
    for panel in panels:
        basis = panel.prediction.basis
        strict = np.nan_to_num(np.fmin(basis.r_loo, basis.r_loo_given_depth))
        kept = np.isin(basis.grade, RELIABLE) | are_markers(basis.genes, basis.genes) | panel.drawn
        for name, r in zip(basis.genes[kept].tolist(), strict[kept].tolist(), strict=True):
            sums.setdefault(name, []).append(r)
    # a gene that some sections lack counts less
    order = sorted(sums, key=lambda name: (-sum(sums[name]) / len(panels), name))
    return np.array(order[:_MOST_GENES], dtype=str)


def _render(
    title: str, panels: Sequence[_Panel], genes: Array, *, joined: JoinedGenes, first: str | None
) -> str:
    from jinja2 import Environment
    from markupsafe import Markup

    about: dict[str, Any] = {
        "title": title,
        "genes": gene_labels(genes),
        "aliases": _aliases(genes, joined),
        "first": _first(genes, first, joined),
        "maps": {"viridis": colours("viridis")},
        "sections": [],
    }
    blobs: dict[str, str] = {}
    for row, panel in enumerate(panels):
        own, texts = _section(panel, genes)
        about["sections"].append(own)
        blobs |= {f"blob-{name}-{row}": text for name, text in texts.items()}
    template = Environment(autoescape=True).from_string(asset("sections.html"))
    return template.render(
        title=title,
        sections=[panel.name for panel in panels],
        version=version("histosge"),
        joined=joined.text,
        # a script ends at the first "<" followed by "/script"
        about=Markup(json.dumps(about, separators=(",", ":")).replace("<", "\\u003c")),
        blobs=[(name, Markup(text)) for name, text in blobs.items()],
        script=Markup("\n".join(asset(f"{name}.js") for name in _SCRIPTS)),
    )


def _section(panel: _Panel, genes: Array) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the metadata and the arrays of a section."""
    prediction = panel.prediction.take(np.flatnonzero(panel.shown))
    held = genes[np.isin(genes, prediction.genes)].tolist()
    prediction = prediction.only(held)
    packed = pack(prediction)
    xy = prediction.locations.xy
    pitch_um = float(panel.record["section"].get("pitch_um") or 100.0)
    spacing_um = median_spacing_um(xy) if len(xy) > 1 else pitch_um
    low, high = xy.min(axis=0) - pitch_um, xy.max(axis=0) + pitch_um
    about = {
        "name": panel.name,
        "rows": positions(genes, held).tolist(),
        "n": len(xy),
        "home": [*low.tolist(), *high.tolist()],
        "radius_um": _REACH * spacing_um,
        "covered": [np.round(border, 1).ravel().tolist() for border in covered_area(xy, pitch_um)],
        "image": None,
        **packed.about,
    }
    kept = ("scores", "loadings", "loading_step", "offset", "r_loo", "r_loo_given_depth")
    texts = {name: text for name, text in packed.blobs.items() if name in kept}
    texts["xy"] = blob(xy.astype(np.float32))
    if panel.files.slide is not None:
        slide = panel.files.slide
        image = slide.thumbnail(max(slide.mpp, max(slide.size_um) / _IMAGE_PX))
        about["image"] = {"size_um": list(slide.size_um), "jpeg": jpeg_of(image)}
    return about, texts


def _aliases(genes: Array, joined: JoinedGenes) -> dict[str, list[str]]:
    """Return the other names of genes by their row: aliases, and the identifiers that were joined with symbols."""
    aliases = aliases_of(genes, genes)
    names = ((name, [*aliases.get(name, ()), *_identifier(name, joined)]) for name in genes.tolist())
    return {str(row): list(others) for row, (_, others) in enumerate(names) if others}


def _identifier(name: str, joined: JoinedGenes) -> list[str]:
    return [joined.ids[name]] if name in joined.ids else []


def _first(genes: Array, first: str | None, joined: JoinedGenes) -> int:
    """Return the row of the gene to show first, also by its symbol, identifier or alias."""
    if first is None:
        return 0
    first = next((symbol for symbol, name in joined.ids.items() if name == first), first)
    labels = [label.split(" ")[0] for label in gene_labels(genes)]
    name = named_by_alias(first, genes, genes) or first
    for among in (genes.tolist(), labels):
        if (row := int(positions([name], among)[0])) >= 0:
            return row
    raise UsageError(
        f"'{first}' is not among the {len(genes)} genes of this page, which are those reliable in a section and "
        f"known markers.{near_misses(first, genes)}"
    )
