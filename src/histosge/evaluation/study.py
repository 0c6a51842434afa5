"""One question put to models: fit these spots, answer for those."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from histosge._runtime.types import Int
from histosge.encoders.base import Encoder
from histosge.models.base import Model, Predictor, Runtime
from histosge.section.genes import GenePanel
from histosge.section.inputs import Inputs, Samples
from histosge.section.multi_section import Pool
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode_spots

__all__ = ["Pipeline", "Study", "choose", "gather", "learn", "look"]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What may be seen, and what is asked.

    Parameters
    ----------
    target
        The section that is predicted.
    training, test
        Its spots that are fitted and those that are scored; ``training`` is empty where the whole section is removed.
    split
        How they were chosen, in words.
    auxiliary
        Further sections, fitted whole.
    genes
        As :func:`histosge.section.genes.select` takes it.
    hvg_scope
        ``"training"``: genes are chosen on spots that are fitted. ``"all"``: on removed ones too, as the paper does;
        the audit calls it a leak.
    seed
        Of the split and of the fit.
    """

    target: Section
    training: Int[np.ndarray, " r"]
    test: Int[np.ndarray, " t"]
    split: str
    auxiliary: tuple[Section, ...] = ()
    genes: str = "hvg:1000"
    hvg_scope: Literal["training", "all"] = "training"
    seed: int = 0

    @property
    def pool(self) -> Pool:
        """Target and siblings with their common genes."""
        return Pool.of(self.target, self.auxiliary)


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
    """Return the genes, with their columns in the target section; they are in every sibling too.

    They are chosen on retained spots of the target; where none is retained, on its siblings.
    """
    rows = study.training if study.hvg_scope == "training" else None
    return study.pool.choose(study.genes, rows=rows)


def look(study: Study, model: Model, encoder: Encoder | None, compute: Compute) -> Inputs:
    """Return what is seen at every spot of the target and its siblings; expression is kept out of sight."""
    blind = [_blind(section) for section in (study.target, *study.auxiliary)]
    return encode_spots(blind, needs=model.needs, encoder=encoder, compute=compute)


def gather(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Return what is fitted: the retained spots and all of the siblings'."""
    return study.pool.gather(panel, inputs, rows=study.training)


def learn(study: Study, model: Model, samples: Samples, runtime: Runtime) -> Predictor:
    """Fit."""
    return model.fit(samples, seed=study.seed, runtime=runtime)


def _blind(section: Section) -> Section:
    """Return the section without its counts."""
    return replace(section, counts=sparse.csr_matrix(section.counts.shape, dtype=section.counts.dtype))
