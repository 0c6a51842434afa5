"""From a fit to the files a user asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.hashing import fingerprint, fingerprint_file
from histosge._runtime.names import positions
from histosge._runtime.provenance import Stopwatch, environment, peak_memory_bytes
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.figures import maps
from histosge.images.tissue import TissueMask
from histosge.io.writers import WRITERS, WriteOptions, factors, h5ad
from histosge.models.base import Block, FactoredPredictor, Model, predict
from histosge.prediction.prediction import Prediction
from histosge.prediction.unfitted_genes import extend
from histosge.section.inputs import Inputs
from histosge.section.locations import Locations, at_spots, upsampled
from histosge.section.multi_section import AuxiliarySection
from histosge.section.section import Section
from histosge.section.target import Target

from .fit import Compute, Fitted, look

__all__ = ["Job", "Outputs", "deliver", "provenance_of"]

# the enhancements of the paper's Fig. 4
_FIGURE_FOLDS = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What to write beside ``prediction.h5ad`` and ``run.json``.

    Parameters
    ----------
    also
        Names of further formats, of :data:`~histosge.io.writers.WRITERS`.
    show
        Genes for figures and GeoJSON; empty chooses the spatially most structured ones.
    figures
        Whether to draw.
    """

    also: tuple[str, ...] = ()
    show: tuple[str, ...] = ()
    figures: bool = True

    def __post_init__(self) -> None:
        for name in self.also:
            # before an hour of computing, not after
            WRITERS[name].require()


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A fitted model, the places asked for, and where the results go."""

    section: Section
    fitted: Fitted
    target: Target
    places: Locations
    mask: TissueMask
    out: Path
    compute: Compute
    outputs: Outputs


def deliver(job: Job, watch: Stopwatch) -> dict[str, Any]:
    """Write everything the job asks for into its folder, and return the record that ``run.json`` holds."""
    genes = _shown(job)
    provenance = provenance_of(job.section, job.fitted, job.target, job.places, job.compute)
    with watch("predict"):
        shown = _stream(job, genes, provenance)
    written = [job.out / "prediction.h5ad"]
    if isinstance(job.fitted.predictor, FactoredPredictor):
        written.append(job.out / factors.NAME)
    if job.outputs.figures:
        with watch("figures"):
            written += _draw(job, genes, shown)
    with watch("export"):
        written += _export(job, genes, shown, written)
    record = provenance | {
        "environment": environment(),
        "genes": [str(name) for name in job.fitted.predictor.genes],
        "genes_shown": list(genes),
        "messages": [asdict(note) for note in job.section.messages],
        "stages": watch.stages,
        "peak_memory_bytes": peak_memory_bytes(),
        "files": {str(path.relative_to(job.out)): _file_hash(path) for path in written},
    }
    with atomic_path(job.out / "run.json") as draft:
        draft.write_text(json.dumps(record, indent=2) + "\n")
    return record


def _shown(job: Job) -> tuple[str, ...]:
    """Return the genes to show: those asked for, which must have been fitted, or the most structured ones."""
    fitted = set(job.fitted.panel.names)
    absent = [gene for gene in job.outputs.show if gene not in fitted]
    if absent:
        raise UsageError(
            f"'{absent[0]}' is not among the {len(fitted)} genes fitted. Add it with --genes, or show another one."
        )
    if job.outputs.show:
        return job.outputs.show
    if job.fitted.unseen:
        seen = look(job.fitted, job.section, at_spots(job.section), job.compute)
        checked = job.fitted.elsewhere
        skill = None if checked is None else np.array(checked.skill)
        return maps.unlike(predict(job.fitted.predictor, seen), skill=skill)
    return maps.choose_markers(job.section, job.fitted.panel.names)


def provenance_of(
    section: Section, fitted: Fitted, target: Target, places: Locations, compute: Compute
) -> dict[str, Any]:
    """Return what identifies a result; it travels inside every file, and every AnnData.

    Parameters
    ----------
    section
        What is predicted.
    fitted
        The model.
    target, places
        Where, as asked for and as found.
    compute
        On what.
    """
    encoder = fitted.encoder
    return {
        "section": _about(section),
        "basis": _basis(fitted),
        "elsewhere": None if fitted.elsewhere is None else fitted.elsewhere.summary(),
        "auxiliary": [asdict(auxiliary_section) for auxiliary_section in _siblings(fitted)],
        "recipe": asdict(fitted.recipe),
        "model": _about_model(fitted.model),
        "fit": dict(fitted.predictor.summary()),
        "fit_key": fitted.key,
        "encoder": None if encoder is None else asdict(encoder.card),
        "target": {key: _plain(value) for key, value in asdict(target).items()},
        "places": len(places),
        "device": compute.device,
        "precision": compute.precision,
    }


def _about_model(model: Model) -> dict[str, Any]:
    """Return the configuration of a model, and what its predictions depend on."""
    return {
        "name": model.card.name,
        "config": asdict(model),  # type: ignore[call-overload]
        "uses_image": model.uses_image,
        "uses_position": model.uses_position,
    }


def _about(section: Section) -> dict[str, Any]:
    """Return which section it is."""
    measured = section.measured
    return {
        "name": section.name,
        "platform": section.platform.name,
        "measured": measured,
        "spots": len(section) if measured else 0,
        "genes": len(section.genes) if measured else 0,
        "mpp": section.mpp,
        "pitch_um": section.pitch_um,
        "image_mpp": None if section.slide is None else section.slide.mpp,
        "fingerprint": section.fingerprint,
    }


def _siblings(fitted: Fitted) -> tuple[AuxiliarySection, ...]:
    """Return the other sections that were fitted; of a section that was not, all of them."""
    first = fitted.origin
    return (first.as_sibling(), *fitted.auxiliary) if fitted.unseen and first else fitted.auxiliary


def _basis(fitted: Fitted) -> str:
    """Return in words what the prediction rests on."""
    if not fitted.unseen:
        return "spots measured in this section"
    names = ", ".join(auxiliary_section.name for auxiliary_section in _siblings(fitted))
    return f"nothing measured in this section: predicted from its image alone, as learnt from {names}"


def _stream(job: Job, genes: tuple[str, ...], provenance: dict[str, Any]) -> Prediction:
    """Write ``prediction.h5ad`` piece by piece; return the genes to show, for all places."""
    inputs = look(job.fitted, job.section, job.places, job.compute)
    names = job.fitted.predictor.genes
    columns = positions(genes, names)
    kept = np.empty((len(job.places), len(genes)), dtype=np.float32)
    blocks = _keep(_blocks(job, inputs, provenance), columns, kept)
    h5ad.stream(job.out / "prediction.h5ad", job.section, job.places, names, blocks, provenance=provenance)
    return Prediction(job.places, np.asarray(genes), kept, None, provenance)


def _blocks(job: Job, inputs: Inputs, provenance: dict[str, Any]) -> Iterator[Block]:
    """Predict; of factors, keep these too, which may make more genes than were fitted."""
    predictor = job.fitted.predictor
    if not isinstance(predictor, FactoredPredictor):
        return predictor.blocks(inputs)
    factored = replace(predictor.factored(inputs), locations=job.places, provenance=provenance)
    if not job.fitted.unseen:
        score, score_sd = (part[: len(job.section)] for part in predictor.left_out_scores())
        # every gene that was counted, not those fitted alone
        counts, genes = job.section.counts, job.section.genes
        factored = replace(factored, basis=extend(factored.basis, score, counts, genes, score_sd=score_sd))
    elif job.fitted.elsewhere is not None:
        factored = replace(factored, basis=job.fitted.elsewhere.told(factored.basis))
    factors.write(job.out / factors.NAME, job.section, factored)
    return factored.blocks([str(name) for name in predictor.genes], observation=True)


def _keep(blocks: Iterable[Block], columns: Array, kept: Array) -> Iterator[Block]:
    """Pass blocks on, copying the columns wanted into ``kept``."""
    for rows, mean, sd in blocks:
        kept[rows] = mean[:, columns]
        yield rows, mean, sd


def _draw(job: Job, genes: tuple[str, ...], shown: Prediction) -> list[Path]:
    """Draw measured beside generated over the H&E, and the section itself."""
    folder = job.out / "figures"
    generated = [(job.target.label, shown), *_enhancements(job, genes)]
    generated.sort(key=lambda labelled: len(labelled[1]))
    learnt = [auxiliary_section.name for auxiliary_section in _siblings(job.fitted)]
    drawn = {
        "section.png": maps.section_overview(job.section, mask=job.mask),
        "markers.png": maps.marker_maps(job.section, generated, genes, learnt_from=learnt),
    }
    return [maps.save(figure, folder / name) for name, figure in drawn.items()]


def _enhancements(job: Job, genes: tuple[str, ...]) -> list[tuple[str, Prediction]]:
    """Predict the genes to show at the paper's other refinements.

    Only where looking is cheap: an encoder with weights takes about a second a place on a laptop.
    """
    encoder = job.fitted.encoder
    if job.target.upsample is None or (encoder is not None and encoder.card.source is not None):
        return []
    folds = [fold for fold in _FIGURE_FOLDS if fold != job.target.upsample]
    return [(Target(upsample=fold).label, _refinement(job, fold, genes)) for fold in folds]


def _refinement(job: Job, fold: int, genes: tuple[str, ...]) -> Prediction:
    """Return the genes to show at an ``fold``-fold refinement of the spots."""
    places = upsampled(job.section, fold, boundary=job.target.boundary, mask=job.mask)
    predictor = job.fitted.predictor
    if isinstance(predictor, FactoredPredictor):
        factored = predictor.factored(look(job.fitted, job.section, places, job.compute))
        return replace(factored, locations=places).whole(genes)
    prediction = predict(predictor, look(job.fitted, job.section, places, job.compute))
    columns = prediction.columns(genes)
    return Prediction(places, np.asarray(genes), prediction.mean[:, columns])


def _export(job: Job, genes: tuple[str, ...], shown: Prediction, written: list[Path]) -> list[Path]:
    """Write the further formats that are not written yet, and return their paths."""
    paths = []
    for name in dict.fromkeys(job.outputs.also):
        writer = WRITERS[name]
        path = job.out / writer.filename
        if path in written:
            continue
        prediction = h5ad.read(job.out / "prediction.h5ad") if writer.all_genes else shown
        paths.append(
            writer.write(path, job.section, prediction, WriteOptions(None if writer.all_genes else genes))
        )
    return paths


def _file_hash(path: Path) -> str:
    """Return a hash of a file's, or of all a folder's files', content."""
    if path.is_file():
        return fingerprint_file(path)
    return fingerprint(
        [
            (str(item.relative_to(path)), fingerprint_file(item))
            for item in sorted(path.rglob("*"))
            if item.is_file()
        ]
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
