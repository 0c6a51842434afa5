"""Write a finished prediction as files and figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.figures.cell_crops import can_draw, cell_crops
from histosge.figures.marker_maps import marker_maps
from histosge.figures.png import save_png
from histosge.figures.section_overview import section_overview
from histosge.io.writers import WRITERS, WriteOptions, factors, h5ad
from histosge.io.writers.base import AnyPrediction
from histosge.models.base import Block
from histosge.prediction.accuracy_words import cell_line, gene_line
from histosge.prediction.mean_depth import is_depth_adjusted
from histosge.prediction.prediction import Prediction
from histosge.section.gene_aliases import markers_in_order
from histosge.section.genes import GeneChoice, Genes
from histosge.section.locations import Locations
from histosge.section.section import Section
from histosge.section.written_genes import WrittenGenes

from .section_prediction import SectionPrediction

__all__ = ["FIGURES", "Outputs", "write_further", "write_prediction"]


_SECTION_FIGURE, _MARKER_FIGURE, _CELL_FIGURE = "section.png", "markers.png", "cells.png"
#: names of the figures of a run in its folder
FIGURES = tuple(f"figures/{name}" for name in (_SECTION_FIGURE, _MARKER_FIGURE, _CELL_FIGURE))


# values of a format of few genes beside those shown: a text of some megabytes
_FEW_VALUES = 400_000


@dataclass(frozen=True, slots=True)
class Outputs:
    """What to write beside ``prediction.h5ad`` and ``run.json``.

    Parameters
    ----------
    also
        Names of further formats, of :data:`~histosge.io.writers.WRITERS`; a list, or separated by commas.
    show
        Genes for figures and formats of few genes: names as a list, separated by commas, or a file of them. Empty
        chooses reliable genes of different patterns. They are written too.
    figures
        Whether to draw figures.
    write_genes
        Genes in ``prediction.h5ad`` and formats of all genes: ``default`` (those fitted, the shipped markers of
        tissues, tumours and immune cells with counts, and all genes with a reliable map), ``fitted``, or ``all`` with
        counts. Names, as a list, separated by commas, or a file of them, are written beside the default ones. Genes
        outside the panel are predicted through the factors. Which are written changes no number of any of them.
    unmeasured
        Genes that were never measured in the section, predicted through the gene programs of the run into
        ``unmeasured.h5ad``: names as a list, separated by commas, or a file of them, or ``all`` that the programs have.
    """

    also: Sequence[str] = ()
    show: Genes = ()
    figures: bool = True
    write_genes: Genes | WrittenGenes = "default"
    unmeasured: Genes | None = None

    def __post_init__(self) -> None:
        formats = self.also.split(",") if isinstance(self.also, str) else self.also
        object.__setattr__(self, "also", tuple(name.strip() for name in formats if name.strip()))
        object.__setattr__(self, "show", self._named())
        object.__setattr__(self, "write_genes", self.written)
        if self.unmeasured is not None:
            object.__setattr__(self, "unmeasured", _named_or_all(self.unmeasured))
        for name in self.also:
            # before an hour of computing, not after
            WRITERS[name].require()

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes to show; empty where they are chosen."""
        return self._named()

    def refuse_locations(self, section: Section, locations: Locations) -> None:
        """Refuse formats that cannot hold a section or its locations.

        Raises
        ------
        UsageError
            For the first of them.
        """
        for writer in (WRITERS[name] for name in self.also):
            if writer.refuse is not None:
                writer.refuse(section, locations)

    @property
    def written(self) -> WrittenGenes:
        """The choice of the genes to write."""
        return WrittenGenes.parse(self.write_genes)

    @property
    def unmeasured_names(self) -> tuple[str, ...] | None:
        """Names of the unmeasured genes to predict; ``None`` for all that the gene programs have."""
        choice = _named_or_all(self.unmeasured or "all")
        return choice.names if choice.kind == "names" else None

    def _named(self) -> tuple[str, ...]:
        choice = GeneChoice.parse(self.show) if self.show else GeneChoice("names")
        if choice.kind != "names":
            raise UsageError(f"Expected `show` as names or a file of names, got '{choice}'.")
        return choice.names


def _named_or_all(genes: Genes) -> GeneChoice:
    choice = GeneChoice.parse(genes)
    if choice.kind == "variable":
        raise UsageError(f"Expected `unmeasured` as all, names or a file of names, got '{choice}'.")
    return choice


def write_prediction(prediction: SectionPrediction, out: Path) -> tuple[Prediction, list[Path]]:
    """Write ``factors.h5ad``, where there are factors, and ``prediction.h5ad`` block by block.

    Returns
    -------
    The prediction of the genes to show, which alone is kept in memory, and the files.
    """
    task, genes = prediction.task, prediction.genes_shown
    written = [out / "prediction.h5ad"]
    if prediction.factored is not None:
        written.append(out / factors.NAME)
        factors.write(written[-1], task.section, prediction.factored)
    # all genes at all locations need not fit into memory: only what figures show is kept
    mean = np.empty((len(task.locations), len(genes)), dtype=np.float32)
    blocks = _copying(prediction.blocks, positions(genes, prediction.genes), mean)
    h5ad.stream(
        written[0],
        task.section,
        locations=task.locations,
        genes=prediction.genes,
        blocks=blocks,
        provenance=prediction.provenance,
        factored=prediction.factored,
    )
    shown = Prediction(task.locations, np.asarray(genes), mean, provenance=prediction.provenance)
    return shown, written


def write_further(
    prediction: SectionPrediction, shown: Prediction, outputs: Outputs, *, out: Path
) -> list[Path]:
    """Write figures and further formats, and return their paths.

    Parameters
    ----------
    prediction
        As given to :func:`write_prediction`.
    shown
        As that returned it.
    outputs
        What to write.
    out
        Folder.
    """
    written = _draw(prediction, shown, out / "figures") if outputs.figures else []
    done = {out / "prediction.h5ad", out / factors.NAME} | set(written)
    for name in dict.fromkeys(outputs.also):
        writer = WRITERS[name]
        path = out / writer.filename
        if path in done:
            continue
        if writer.all_genes:
            source, options = _all_genes(prediction, out), WriteOptions(None)
        else:
            few = _few_genes(prediction, shown, named=bool(outputs.show), most=writer.most_genes)
            source, options = few, WriteOptions(tuple(str(name) for name in few.genes))
        written.append(writer.write(path, prediction.task.section, source, options))
    return written


def _few_genes(prediction: SectionPrediction, shown: Prediction, *, named: bool, most: int) -> Prediction:
    """Return the genes of a format of few genes: those shown and known markers, unless the user named some."""
    factored, section = prediction.factored, prediction.task.section
    room = min(most, _FEW_VALUES // max(len(shown), 1))
    if named or factored is None:
        return shown
    ids = section.gene_ids[section.columns(prediction.genes)]
    names = tuple(dict.fromkeys((*prediction.genes_shown, *markers_in_order(prediction.genes, ids))))[:room]
    if len(names) <= len(prediction.genes_shown):
        return shown
    mean = factored.means(factored.basis.columns(names))
    return replace(shown, genes=np.asarray(names), mean=np.asarray(mean, dtype=np.float32))


def _all_genes(prediction: SectionPrediction, out: Path) -> AnyPrediction:
    """Return all fitted genes: as factors, which need little memory, else as the file holds them."""
    if prediction.factored is not None:
        return prediction.factored.only([str(name) for name in prediction.genes])
    return h5ad.read(out / "prediction.h5ad")


def _copying(blocks: Iterable[Block], columns: Array, mean: Array) -> Iterator[Block]:
    """Pass blocks on, and copy ``columns`` of their means into ``mean``."""
    for rows, block, sd in blocks:
        mean[rows] = block[:, columns]
        yield rows, block, sd


def _accuracy_lines(prediction: SectionPrediction) -> dict[str, str]:
    """Return what is said of the accuracy of each gene to show, where it was measured in this section."""
    if prediction.factored is None or not prediction.task.section.has_counts:
        return {}
    basis = prediction.factored.basis
    rows = basis.columns(prediction.genes_shown)
    lines, words = {}, basis.reliable_as
    for gene, row in zip(prediction.genes_shown, rows, strict=True):
        line = gene_line(float(basis.r_loo[row]), float(basis.r_loo_given_depth[row]))
        single = cell_line(str(words[row]))
        lines[gene] = "; ".join(part for part in (line, single) if part)
    return lines


def _label(prediction: SectionPrediction) -> str:
    adjusted = is_depth_adjusted(prediction.provenance)
    return f"{prediction.task.target.label}{', at mean depth' if adjusted else ''}"


def _draw(prediction: SectionPrediction, shown: Prediction, folder: Path) -> list[Path]:
    """Draw the section, the genes to show, measured beside predicted, and cells at full zoom, over the H&E image."""
    task, accuracy = prediction.task, _accuracy_lines(prediction)
    figures = {
        _SECTION_FIGURE: section_overview(task.section, mask=task.mask),
        _MARKER_FIGURE: marker_maps(
            task.section,
            [(_label(prediction), shown)],
            prediction.genes_shown,
            auxiliary=prediction.auxiliary,
            accuracy=accuracy,
        ),
    }
    if can_draw(task.section, shown):
        figures[_CELL_FIGURE] = cell_crops(task.section, shown, prediction.genes_shown, accuracy=accuracy)
    return [save_png(figure, folder / name) for name, figure in figures.items()]
