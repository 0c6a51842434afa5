"""The audit: no fitted step may depend on the test spots.

The audit changes what must not matter: it replaces the counts and the images of the test spots, and repeats every step
of the fit. The results must be equal to the last bit. A step whose result changes has read the test spots.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Array
from histosge.images.patches import Patches
from histosge.models.base import AdaptivePredictor, Model, Predictor, Runtime, predict
from histosge.programs.gene_names import GeneNames
from histosge.section.genes import GenePanel
from histosge.section.inputs import Inputs, Samples
from histosge.section.section import Section

from .near_copies import copied_spots
from .study import Pipeline, Study

__all__ = ["Leak", "audit", "counterfactual"]

# spots of the two short fits: a leak does not depend on their number, and networks are slow
_SPOTS, _SPOTS_OF_NETWORKS = 48, 16
# locations that both short fits predict, among the training spots and among the test spots
_PREDICTED = 4
# two spots with equal counts of this many molecules, of this many genes, are one spot
_MINIMUM_COUNTS, _MINIMUM_GENES = 50, 5
# two spots nearer than this have the same position, µm
_SAME_POSITION_UM = 1.0


@dataclass(frozen=True, slots=True)
class Leak:
    """A step that depends on the test spots.

    Parameters
    ----------
    step
        ``"gene panel"``, ``"expression"``, ``"features"``, ``"fit"``, ``"duplicated spot"``, ``"gene programs"``,
        ``"patient"`` or ``"noise ceiling"``.
    message
        What was found and what to do.
    """

    step: str
    message: str


def audit(
    study: Study,
    model: Model,
    inputs: Inputs,
    *,
    pipeline: Pipeline = Pipeline.standard(),
    panel: GenePanel | None = None,
    patients: tuple[str, ...] = (),
    rehearse: bool = True,
) -> tuple[Leak, ...]:
    """Return the leaks of a study; empty where no fitted step depends on the test spots.

    Parameters
    ----------
    study
        Training and test spots.
    model
        The model. It is fitted to a few spots, a network for one epoch.
    inputs
        Inputs at all spots, as :func:`~histosge.evaluation.study.encode_study` returns them.
    pipeline
        The steps to check.
    panel
        The genes, where they are chosen already.
    patients
        Patients of the target and of each auxiliary section, where they must differ.
    rehearse
        Whether to compare two short fits; not needed where the whole fit was repeated.

    Examples
    --------
    >>> import histosge as hs
    >>> from histosge.evaluation.study import Study, encode_study
    >>> study = Study.of(hs.synthetic(columns=10, rows=10, genes=12).section, genes="all")
    >>> recipe = hs.Recipe("ridge")
    >>> audit(study, recipe.build(), encode_study(study, recipe))
    ()
    """
    leaks = [*_duplicated_spots(study), *_scored_in_programs(study), *_related_patients(patients)]
    panel = pipeline.choose_genes(study) if panel is None else panel
    changed_study, changed_panel = _changed(study, pipeline)
    if not np.array_equal(panel.names, changed_panel.names):
        message = (
            "The gene panel depends on test spots. Choose genes on training spots: hvg_scope='training'."
        )
        leaks.append(Leak("gene panel", message))
    samples = pipeline.gather_samples(study, panel, inputs)
    changed_inputs = _with_other_images(inputs, study.test)
    changed_samples = pipeline.gather_samples(changed_study, panel, changed_inputs)
    leaks += _differences(samples, changed_samples)
    # both fits get the same samples: a difference has reached the model around them
    # a pipeline with features of its own fits a model that cannot read those of the test spots
    comparable = _width(samples.inputs) == _width(inputs)
    test = inputs.take(_evenly(study.test, _PREDICTED if comparable else 0))
    if rehearse and _fit_differs(
        (study, changed_study), model, samples=samples, test=test, pipeline=pipeline
    ):
        message = (
            f"The fit of '{model.card.name}' depends on test spots although they are not among its samples. Check "
            "early stopping, hyper-parameters and graphs."
        )
        leaks.append(Leak("fit", message))
    return tuple(leaks)


def counterfactual(study: Study) -> Study:
    """Return the study with other counts at the test spots: genes permuted, and one molecule more per spot."""
    counts, test = sparse.csr_matrix(study.target.counts), study.test
    rng = np.random.default_rng(0)
    others = np.setdiff1d(np.arange(counts.shape[0]), test)
    entries = (np.arange(len(test)), rng.integers(0, counts.shape[1], len(test)))
    molecule = sparse.csr_matrix((np.ones(len(test)), entries), shape=(len(test), counts.shape[1]))
    changed = counts[test][:, rng.permutation(counts.shape[1])] + molecule
    order = np.argsort(np.concatenate([others, test]))
    joined = sparse.csr_matrix(sparse.vstack([counts[others], changed]), dtype=counts.dtype)[order]
    return replace(study, target=replace(study.target, counts=joined))


@lru_cache(maxsize=4)
def _changed(study: Study, pipeline: Pipeline) -> tuple[Study, GenePanel]:
    """Return the counterfactual study and the genes chosen in it, computed once for all models."""
    changed = counterfactual(study)
    return changed, pipeline.choose_genes(changed)


def _with_other_images(inputs: Inputs, test: Array) -> Inputs:
    """Return the inputs with other image features, colours and patches at the test spots."""
    changed: dict[str, Any] = {}
    for name in ("features", "colour"):
        part = getattr(inputs, name)
        if part is not None:
            values = np.array(part[np.arange(len(inputs))])
            values[test] = 2 * np.roll(values[test], 1, axis=0) + 1
            changed[name] = values
    if isinstance(inputs.patches, Patches):
        xy_um = np.array(inputs.patches.xy_um)
        xy_um[test] = np.roll(xy_um[test], 1, axis=0)
        changed["patches"] = replace(inputs.patches, xy_um=xy_um)
    return replace(inputs, **changed)


def _differences(samples: Samples, changed: Samples) -> list[Leak]:
    """Return a leak for each part of the samples that depends on the test spots."""
    leaks = []
    if not (
        np.array_equal(samples.expression, changed.expression)
        and np.array_equal(samples.depth, changed.depth)
        and np.array_equal(samples.log_cp10k, changed.log_cp10k)
    ):
        message = "The fitted expression depends on test spots. Normalise and scale on training spots alone."
        leaks.append(Leak("expression", message))
    for name in ("features", "colour"):
        values, changed_values = getattr(samples.inputs, name), getattr(changed.inputs, name)
        if values is not None and not np.array_equal(values[:], changed_values[:]):
            message = (
                f"The fitted {name} depend on test spots. Compute scales and principal components on training spots "
                "alone."
            )
            leaks.append(Leak("features", message))
    return leaks


def _fit_differs(
    studies: tuple[Study, Study], model: Model, *, samples: Samples, test: Inputs, pipeline: Pipeline
) -> bool:
    """Return whether the fit to a few of the samples differs between two studies, or its prediction at test spots."""
    short = _shortened(model)
    number = _SPOTS if short is model else _SPOTS_OF_NETWORKS
    rows = _evenly(np.arange(len(samples)), number)
    # locations that the short fits were not given, where there are any
    others = np.setdiff1d(np.arange(len(samples)), rows)
    locations = samples.inputs.take((others if len(others) else rows)[:_PREDICTED])
    few = samples.take(rows)
    # one fit after the other, so that two large networks are not in memory at once
    first, second = (
        _content(
            pipeline.fit_model(study, short, few, Runtime()), locations, test, is_new=not len(study.training)
        )
        for study in studies
    )
    return first != second


def _shortened(model: Model) -> Model:
    """Return the model with one epoch of training, where it has epochs."""
    names = {field.name for field in fields(model)}  # type: ignore[arg-type]
    return replace(model, epochs=1) if "epochs" in names else model  # type: ignore[type-var]


def _width(inputs: Inputs) -> int:
    return 0 if inputs.features is None else inputs.features.shape[1]


def _evenly(rows: Array, number: int) -> Array:
    """Return at most ``number`` of the rows, from the first to the last."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, number).round().astype(int))] if len(rows) else rows


def _content(predictor: Predictor, locations: Inputs, test: Inputs, *, is_new: bool) -> str:
    """Return a hash of what a predictor stores and predicts: hyper-parameters show in predictions alone.

    ``is_new`` where no spot of the section of the test spots is fitted: there a predictor that adapts is adapted.
    """
    at_test = predictor.adapted_to(test) if is_new and isinstance(predictor, AdaptivePredictor) else predictor
    predictions = [
        predict(part_of, part).mean
        for part_of, part in ((predictor, locations), (at_test, test))
        if len(part)
    ]
    return fingerprint(dict(predictor.arrays()), dict(predictor.summary()), predictions)


@lru_cache(maxsize=4)
def _duplicated_spots(study: Study) -> tuple[Leak, ...]:
    """Find spots that are both fitted and scored: at the same position, or with the same counts."""
    from scipy.spatial import cKDTree

    target, pool = study.target, study.pool
    messages = []
    if len(study.training):
        distance = cKDTree(target.spots.xy[study.training]).query(target.spots.xy[study.test])[0]
        if number := int((distance < _SAME_POSITION_UM).sum()):
            messages.append(f"{number} test spots have the position of a training spot")
    # sections of one tissue may come with other genes, in another order: the genes in common are compared
    spots = [study.training, *(np.arange(len(section)) for section in study.auxiliary)]
    fitted = zip(pool.sections, pool.columns, spots, strict=True)
    hashes = {key for section, columns, rows in fitted for key in _count_hashes(section, columns, rows)}
    test_hashes = _count_hashes(target, pool.columns[0], study.test)
    if number := sum(key in hashes for key in test_hashes):
        messages.append(f"{number} test spots have the same counts as a spot that is fitted")
    leaks = [Leak("duplicated spot", f"{text}. Remove duplicates before splitting.") for text in messages]
    # equal counts are reported already
    return tuple(leaks or _copied_sections(study))


def _copied_sections(study: Study) -> list[Leak]:
    """Find fitted sections whose spots share molecules with test spots: copies that were thinned or changed."""
    pool, leaks = study.pool, []
    test = sparse.csr_matrix(study.target.counts)[study.test][:, pool.columns[0]]
    for section, columns in zip(study.auxiliary, pool.columns[1:], strict=True):
        copies = copied_spots(test, sparse.csr_matrix(section.counts)[:, columns])
        if copies.certain:
            message = (
                f"Section '{section.name}', which is fitted, is a copy of '{study.target.name}' or of a part of it, "
                f"thinned or changed: {copies.pairs} of its spots are more like a test spot than two measurements "
                "can be. Leave it out."
            )
            leaks.append(Leak("duplicated spot", message))
    return leaks


@lru_cache(maxsize=4)
def _scored_in_programs(study: Study) -> tuple[Leak, ...]:
    """Find gene programs whose profiles share molecules with test spots: they hold the section that is scored."""
    target, leaks = study.target, []
    names = GeneNames.of(target.genes, target.gene_ids)
    test = sparse.csr_matrix(sparse.csr_matrix(target.counts)[study.test])
    for programs in study.programs:
        columns = programs.genes.positions_in(names)
        for source, sample in zip(programs.sources, programs.samples, strict=False):
            common = np.flatnonzero(columns[sample.columns] >= 0)
            copies = copied_spots(test[:, columns[sample.columns[common]]], sample.counts[:, common])
            if copies.certain:
                message = (
                    f"The gene programs hold the section that is scored: {copies.pairs} profiles of their source "
                    f"'{source.name}' are more like a test spot of '{target.name}' than two measurements can be. Build "
                    "them without that section."
                )
                leaks.append(Leak("gene programs", message))
    return tuple(leaks)


def _count_hashes(section: Section, columns: Array, rows: Array) -> list[str]:
    """Return a hash of the counts of some genes for each spot that has enough of them."""
    counts = sparse.csr_matrix(section.counts[rows])[:, columns].tocsr()
    # a canonical form, so that equal counts have equal hashes
    counts.eliminate_zeros()
    counts.sort_indices()
    hashes = []
    for start, end in pairwise(counts.indptr):
        values, genes = counts.data[start:end], counts.indices[start:end]
        if values.sum() >= _MINIMUM_COUNTS and len(genes) >= _MINIMUM_GENES:
            hashes.append(fingerprint(genes.astype(np.int64), values.astype(np.float64)))
    return hashes


def _related_patients(patients: tuple[str, ...]) -> list[Leak]:
    """Find whether the patient of the target is among those of the fitted sections, in whatever spelling."""
    names = [name.strip().casefold() for name in patients]
    if not names or names[0] not in names[1:]:
        return []
    message = (
        f"Patient '{patients[0]}' is scored, and other sections of it are fitted. Fit other patients only."
    )
    return [Leak("patient", message)]
