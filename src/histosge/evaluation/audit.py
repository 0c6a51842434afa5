"""The leakage auditor: nothing fitted may have seen a removed spot.

Reading code does not find leaks; changing what must not matter does. The auditor replaces what was measured and what
is seen at the removed spots by something else, and repeats every step of fitting. What comes out must be the same to
the last bit. What has changed has seen them.
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
from histosge.images.patches import PatchSource
from histosge.models.base import Model, Predictor, Runtime, predict
from histosge.section.genes import GenePanel
from histosge.section.inputs import Inputs, Samples
from histosge.section.section import Section

from .study import Pipeline, Study

__all__ = ["Leak", "audit", "counterfactual"]

# enough to fit something; leaks do not depend on how much, and networks take their time
_REHEARSED, _REHEARSED_NETWORK = 48, 16
# places that both fits are asked for
_ASKED = 4
# two spots with the same counts of this many molecules, of this many genes, are one spot
_FEW_COUNTS, _FEW_GENES = 50, 5
# nearer than this is the same place, µm
_SAME_UM = 1.0


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that saw what it must not.

    Parameters
    ----------
    step
        ``"gene panel"``, ``"expression"``, ``"features"``, ``"fit"``, ``"duplicated spot"`` or ``"patient"``.
    sentence
        What happened and what to do.
    """

    step: str
    sentence: str


def audit(
    study: Study,
    model: Model,
    inputs: Inputs,
    *,
    pipeline: Pipeline,
    panel: GenePanel | None = None,
    patients: tuple[str, ...] = (),
) -> tuple[Leak, ...]:
    """Return the leaks of a study; none if it is honest.

    Parameters
    ----------
    study
        What is asked.
    model
        What is fitted; networks are fitted for one epoch, to a few spots.
    inputs
        What is seen at all spots.
    pipeline
        The steps of fitting.
    panel
        The genes, where they are chosen already.
    patients
        Whom the target and then each sibling come from, where patients must differ.
    """
    leaks = [*_repeated(study), *_related(patients)]
    panel = pipeline.choose(study) if panel is None else panel
    other, other_panel = _otherwise(study, pipeline)
    if not np.array_equal(panel.names, other_panel.names):
        sentence = (
            "The gene panel depends on removed spots. Choose genes on retained spots: hvg_scope='retained'."
        )
        leaks.append(Leak("gene panel", sentence))
    samples = pipeline.gather(study, panel, inputs)
    changed = pipeline.gather(other, panel, _elsewhere(inputs, study.test))
    leaks += _differing(samples, changed)
    short = _rehearsal(model)
    number = _REHEARSED if short is model else _REHEARSED_NETWORK
    rows = np.unique(np.linspace(0, len(samples) - 1, number).round().astype(int))
    # places that the short fit has not seen, where there are any
    others = np.setdiff1d(np.arange(len(samples)), rows)
    asked = samples.inputs.take((others if len(others) else rows)[:_ASKED])
    # from one and the same samples: what still differs has reached around them. One fit after the other, as two large
    # networks need not be in memory at once
    learnt, again = (
        _content(pipeline.learn(each, short, samples.take(rows), Runtime()), asked) for each in (study, other)
    )
    if learnt != again:
        sentence = (
            f"What '{model.card.name}' learns depends on removed spots although it is not given them: look at early "
            "stopping, hyper-parameters and graphs."
        )
        leaks.append(Leak("fit", sentence))
    return tuple(leaks)


def counterfactual(study: Study) -> Study:
    """Return the study with other counts at the removed spots: of other genes, and one molecule more each."""
    counts, test = sparse.csr_matrix(study.target.counts), study.test
    rng = np.random.default_rng(0)
    kept = np.setdiff1d(np.arange(counts.shape[0]), test)
    where = (np.arange(len(test)), rng.integers(0, counts.shape[1], len(test)))
    more = sparse.csr_matrix((np.ones(len(test)), where), shape=(len(test), counts.shape[1]))
    other = counts[test][:, rng.permutation(counts.shape[1])] + more
    order = np.argsort(np.concatenate([kept, test]))
    mixed = sparse.csr_matrix(sparse.vstack([counts[kept], other]), dtype=counts.dtype)[order]
    return replace(study, target=replace(study.target, counts=mixed))


@lru_cache(maxsize=4)
def _otherwise(study: Study, pipeline: Pipeline) -> tuple[Study, GenePanel]:
    """Return the counterfactual study and the genes chosen in it; many models ask the same."""
    other = counterfactual(study)
    return other, pipeline.choose(other)


def _elsewhere(inputs: Inputs, test: Array) -> Inputs:
    """Return the inputs with something else to see at the removed spots."""
    found: dict[str, Any] = {}
    for name in ("features", "colour"):
        part = getattr(inputs, name)
        if part is not None:
            values = np.array(part[np.arange(len(inputs))])
            values[test] = 2 * np.roll(values[test], 1, axis=0) + 1
            found[name] = values
    if isinstance(inputs.patches, PatchSource):
        xy_um = np.array(inputs.patches.xy_um)
        xy_um[test] = np.roll(xy_um[test], 1, axis=0)
        found["patches"] = replace(inputs.patches, xy_um=xy_um)
    return replace(inputs, **found)


def _differing(samples: Samples, changed: Samples) -> list[Leak]:
    """Compare what is given to the model."""
    leaks = []
    if not (
        np.array_equal(samples.expression, changed.expression)
        and np.array_equal(samples.depth, changed.depth)
    ):
        sentence = (
            "The expression fitted depends on removed spots. Normalise and scale on retained spots only."
        )
        leaks.append(Leak("expression", sentence))
    for name in ("features", "colour"):
        one, two = getattr(samples.inputs, name), getattr(changed.inputs, name)
        if one is not None and not np.array_equal(one[:], two[:]):
            sentence = (
                f"The {name} fitted depend on removed spots. Learn scales and principal components from retained "
                "spots only."
            )
            leaks.append(Leak("features", sentence))
    return leaks


def _rehearsal(model: Model) -> Model:
    """Return the model with a short course."""
    names = {field.name for field in fields(model)}  # type: ignore[arg-type]
    return replace(model, epochs=1) if "epochs" in names else model  # type: ignore[type-var]


def _content(predictor: Predictor, asked: Inputs) -> str:
    """Return a hash of what was learnt, and of what is answered: hyper-parameters show in answers alone."""
    return fingerprint(dict(predictor.arrays()), dict(predictor.summary()), predict(predictor, asked).mean)


@lru_cache(maxsize=4)
def _repeated(study: Study) -> tuple[Leak, ...]:
    """Find spots that are both fitted and scored: at one place, or with the same counts."""
    from scipy.spatial import cKDTree

    target = study.target
    leaks = []
    if len(study.training):
        near = cKDTree(target.spots.xy[study.training]).query(target.spots.xy[study.test])[0]
        if number := int((near < _SAME_UM).sum()):
            leaks.append(f"{number} removed spots lie where a retained one lies")
    # sections of one tissue may come with other genes, in another order: what they share is compared
    pool = study.pool
    spots = [study.training, *(np.arange(len(auxiliary_section)) for auxiliary_section in pool.auxiliary)]
    fitted = zip(pool.sections, pool.columns, spots, strict=True)
    known = {key for section, columns, rows in fitted for key in _row_keys(section, columns, rows)}
    if number := sum(key in known for key in _row_keys(target, pool.columns[0], study.test)):
        leaks.append(f"{number} removed spots have the very counts of a spot that is fitted")
    return tuple(Leak("duplicated spot", f"{words}. Remove duplicates before splitting.") for words in leaks)


def _row_keys(section: Section, columns: Array, rows: Array) -> list[str]:
    """Return a hash of the counts of some genes in each spot that has enough of them."""
    counts = sparse.csr_matrix(section.counts[rows])[:, columns].tocsr()
    counts.eliminate_zeros()
    counts.sort_indices()
    found = []
    for start, end in pairwise(counts.indptr):
        values, genes = counts.data[start:end], counts.indices[start:end]
        if values.sum() >= _FEW_COUNTS and len(genes) >= _FEW_GENES:
            found.append(fingerprint(genes.astype(np.int64), values.astype(np.float64)))
    return found


def _related(patients: tuple[str, ...]) -> list[Leak]:
    written = [name.strip().casefold() for name in patients]
    if not written or written[0] not in written[1:]:
        return []
    sentence = (
        f"Patient '{patients[0]}' is scored, and other sections of it are fitted. Fit other patients only."
    )
    return [Leak("patient", sentence)]
