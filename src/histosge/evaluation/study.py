"""A study: the spots of a section that are fitted, those that are scored, and the steps of a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from histosge._runtime.types import Int
from histosge.models.base import Model, Predictor, Runtime
from histosge.programs.gene_programs import Programs
from histosge.section import splits
from histosge.section.genes import GenePanel, Genes
from histosge.section.inputs import Inputs, Samples
from histosge.section.multi_section import SectionGroup
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode_spots, encoder_for
from histosge.workflow.fit import aligned_programs
from histosge.workflow.recipe import Recipe

__all__ = ["Pipeline", "Study", "choose_genes", "encode_study", "fit_model", "gather_samples"]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A section whose spots are divided into training and test spots.

    Parameters
    ----------
    target
        The section that is predicted.
    training, test
        Rows of the spots that are fitted and of those that are scored. ``training`` is empty where the section is
        predicted from other sections alone.
    split
        Description of the split.
    auxiliary
        Further sections; all of their spots are fitted.
    genes
        As :func:`histosge.section.genes.select` takes it.
    hvg_scope
        ``"training"``: variable genes are chosen on the training spots. ``"all"``: on the test spots too, as the paper
        does; the audit reports that as a leak.
    seed
        Seeds the split and the fit.
    programs
        Gene programs that the fit is given.
    depth_adjusted
        Whether expression is fitted at the mean depth of the training spots. Scores compare with log1p(CP10k) all the
        same.

    Examples
    --------
    >>> import histosge as hs
    >>> study = Study.of(hs.synthetic(columns=10, rows=10, genes=12).section, genes="all")
    >>> len(study.training), len(study.test)
    (50, 49)
    """

    target: Section
    training: Int[np.ndarray, " r"]
    test: Int[np.ndarray, " t"]
    split: str
    auxiliary: tuple[Section, ...] = ()
    genes: Genes = "hvg:1000"
    hvg_scope: Literal["training", "all"] = "training"
    seed: int = 0
    programs: tuple[Programs, ...] = ()
    depth_adjusted: bool = False

    @classmethod
    def of(
        cls, section: Section, split: str = "random:0.5", *, genes: Genes = "hvg:1000", seed: int = 0
    ) -> Study:
        """Divide a section as :func:`histosge.section.splits.parse` says."""
        # the same seed for split and fit: a seed is one repetition of the whole study
        division = splits.parse(split, section, seed)
        return cls(section, division.training, division.test, division.name, genes=genes, seed=seed)

    @property
    def pool(self) -> SectionGroup:
        """The target and the auxiliary sections, with their common genes."""
        return SectionGroup.of(self.target, self.auxiliary)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The steps of a fit that read expression; the audit checks each of them.

    Parameters
    ----------
    choose_genes
        Returns the genes.
    gather_samples
        Returns the samples that are fitted, scaled or not.
    fit_model
        Returns the fitted predictor.
    """

    choose_genes: Callable[[Study], GenePanel]
    gather_samples: Callable[[Study, GenePanel, Inputs], Samples]
    fit_model: Callable[[Study, Model, Samples, Runtime], Predictor]

    @classmethod
    def standard(cls) -> Pipeline:
        """Return the steps of this package."""
        return cls(choose_genes, gather_samples, fit_model)


def choose_genes(study: Study) -> GenePanel:
    """Return the genes with their columns in the target section; every auxiliary section has them too.

    They are chosen on the training spots of the target; without training spots, on the auxiliary sections.
    """
    # the paper chooses genes on all spots; the audit reports that
    rows = study.training if study.hvg_scope == "training" else None
    # scores name their genes: any order will do, and this one is the same for every order of a file
    return study.pool.choose(study.genes, rows=rows).by_name()


def encode_study(study: Study, recipe: Recipe, compute: Compute = Compute()) -> Inputs:
    """Return what the recipe's model reads at every spot of the target and of the auxiliary sections.

    The sections are stripped of their counts first, so that no input can depend on expression.
    """
    needs = recipe.build().needs
    encoder = encoder_for(study.target, recipe, needs=needs, compute=compute)
    # sparse zeros keep the shape of the counts
    sections = [_without_counts(section) for section in (study.target, *study.auxiliary)]
    return encode_spots(sections, needs=needs, encoder=encoder, compute=compute)


def gather_samples(study: Study, panel: GenePanel, inputs: Inputs) -> Samples:
    """Return what is fitted: the training spots, and all spots of the auxiliary sections."""
    samples = study.pool.gather(panel, inputs, rows=study.training, depth_adjusted=study.depth_adjusted)
    aligned = aligned_programs(study.programs, study.target, panel)
    return samples if aligned is None else aligned.joined(samples)


def fit_model(study: Study, model: Model, samples: Samples, runtime: Runtime) -> Predictor:
    """Fit the model with the seed of the study."""
    return model.fit(samples, seed=study.seed, runtime=runtime)


def _without_counts(section: Section) -> Section:
    return replace(section, counts=sparse.csr_matrix(section.counts.shape, dtype=section.counts.dtype))
