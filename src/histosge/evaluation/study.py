"""One question put to models: fit these spots, answer for those."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from .._errors import DataError, UsageError
from .._types import Array, Int
from ..encoders._contract import Encoder
from ..genes import GenePanel, select
from ..inputs import Inputs, Samples, joined
from ..locations import at_spots
from ..models._contract import Model, Predictor, Runtime
from ..points import Points
from ..section import Section
from ..workflow import Machine, measure, prepare

__all__ = ["Pipeline", "Study", "choose", "gather", "learn", "look"]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What may be seen, and what is asked.

    Parameters
    ----------
    target
        The section that is predicted.
    retained, removed
        Its spots that are fitted and those that are scored; ``retained`` is empty where the whole section is removed.
    split
        How they were chosen, in words.
    siblings
        Further sections, fitted whole.
    genes
        As :func:`histosge.genes.select` takes it.
    hvg_scope
        ``"retained"``: genes are chosen on spots that are fitted. ``"all"``: on removed ones too, as the paper does;
        the audit calls it a leak.
    seed
        Of the split and of the fit.
    """

    target: Section
    retained: Int[np.ndarray, " r"]
    removed: Int[np.ndarray, " t"]
    split: str
    siblings: tuple[Section, ...] = ()
    genes: str = "hvg:1000"
    hvg_scope: Literal["retained", "all"] = "retained"
    seed: int = 0

    @property
    def learnt(self) -> Int[np.ndarray, " m"]:
        """Rows that are fitted, counted over the target and then its siblings."""
        total = len(self.target) + sum(map(len, self.siblings))
        return np.concatenate([self.retained, np.arange(len(self.target), total)])


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The steps that may see expression while fitting; the audit watches each of them.

    Parameters
    ----------
    choose
        The genes.
    gather
        The samples that are fitted, scaled or not.
    learn
        The fit.
    """

    choose: Callable[[Study], GenePanel]
    gather: Callable[[Study, GenePanel, Inputs], Samples]
    learn: Callable[[Study, Model, Samples, Runtime], Predictor]

    @classmethod
    def honest(cls) -> Pipeline:
        """Return the steps of this package."""
        return cls(choose, gather, learn)


def choose(study: Study) -> GenePanel:
    """Return the genes, with their columns in the target section; they are in every sibling too."""
    section = _pooled(study)
    rows = study.learnt if study.hvg_scope == "retained" else None
    panel = select(section, study.genes, rows=rows)
    if not study.siblings:
        return panel
    return replace(panel, columns=_columns(study.target, panel.names))


def look(study: Study, model: Model, encoder: Encoder | None, machine: Machine) -> Inputs:
    """Return what is seen at every spot of the target and its siblings; expression is kept out of sight."""
    parts = [
        prepare(blind, at_spots(blind), model.needs, encoder, machine)
        for blind in map(_blind, (study.target, *study.siblings))
    ]
    return joined(parts)


def gather(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Return what is fitted: the retained spots and all of the siblings'."""
    sections = (study.target, *study.siblings)
    ends = np.cumsum([0, *map(len, sections)])
    parts = []
    for section, start, end in zip(sections, ends[:-1], ends[1:], strict=True):
        rows = study.learnt[(study.learnt >= start) & (study.learnt < end)]
        own = replace(panel, columns=_columns(section, panel.names))
        # counts of removed spots are gone before anything is computed from counts
        parts.append(measure(section.take(rows - start), own, inputs.take(rows)))
    return Samples(
        inputs.take(study.learnt),
        np.concatenate([part.expression for part in parts]),
        panel.names,
        np.concatenate([part.depth for part in parts]),
    )


def learn(study: Study, model: Model, samples: Samples, runtime: Runtime) -> Predictor:
    """Fit."""
    return model.fit(samples, seed=study.seed, runtime=runtime)


def _blind(section: Section) -> Section:
    """Return the section without its counts."""
    return replace(section, counts=sparse.csr_matrix(section.counts.shape, dtype=section.counts.dtype))


def _columns(section: Section, names: Array) -> Array:
    """Return where genes are.

    Raises
    ------
    DataError
        When one is missing.
    """
    column_of = {str(name): column for column, name in enumerate(section.genes)}
    try:
        return np.array([column_of[str(name)] for name in names], dtype=np.intp)
    except KeyError as error:
        raise DataError(f"Section '{section.name}' has no gene {error}.") from error


def _pooled(study: Study) -> Section:
    """Return target and siblings as one section of their common genes, for choosing among them."""
    if not study.siblings:
        return study.target
    sections = (study.target, *study.siblings)
    common = [
        name for name in study.target.genes if all(name in set(other.genes) for other in study.siblings)
    ]
    if not common:
        raise UsageError("The sections have no gene in common. Do they use the same kind of gene names?")
    names = np.array(common, dtype=str)
    counts = [section.counts[:, _columns(section, names)] for section in sections]
    ids = np.concatenate(
        [np.array([f"{k}/{name}" for name in section.spots.ids]) for k, section in enumerate(sections)]
    )
    xy = np.concatenate([section.spots.xy + np.array([1e7 * k, 0.0]) for k, section in enumerate(sections)])
    return replace(
        study.target,
        counts=sparse.csr_matrix(sparse.vstack(counts)),
        genes=names,
        gene_ids=names,
        spots=Points(xy, ids, study.target.spots.diameter_um),
        lattice_xy=np.concatenate([section.lattice_xy for section in sections]),
        lattice=None,
        slide=None,
    )
