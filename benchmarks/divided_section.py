"""A section divided into training and test spots, with encoded inputs: the first step of most scripts here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import histosge as hs
from histosge.evaluation.study import Study, choose_genes, encode_study, gather_samples
from histosge.metrics.pearson import pearson
from histosge.models import predict
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.section.inputs import Inputs, Samples
from histosge.section.multi_section import samples_of
from histosge.workflow.encode import encode_spots, encoder_for


@dataclass(frozen=True)
class DividedSection:
    """Half of the spots of a section to fit, half to score.

    Parameters
    ----------
    study
        Training and test spots.
    inputs
        What the model reads at all spots.
    training
        Samples of the training spots.
    expression
        Measured expression of all spots, spots × genes.
    """

    study: Study
    inputs: Inputs
    training: Samples
    expression: np.ndarray

    @property
    def test(self) -> Inputs:
        """What the model reads at the test spots."""
        return self.inputs.take(self.study.test)

    @property
    def truth(self) -> np.ndarray:
        """Measured expression of the test spots."""
        return self.expression[self.study.test]

    def predict(self, recipe: hs.Recipe) -> np.ndarray:
        """Return the prediction at the test spots of a model fitted to the training spots."""
        predictor = recipe.build().fit(self.training, seed=self.study.seed)
        return predict(predictor, self.test).mean.astype(np.float64)


def divide(
    section: hs.Section,
    recipe: hs.Recipe = hs.Recipe(),
    *,
    seed: int,
    compute: hs.Compute = hs.Compute(),
    auxiliary: Sequence[hs.Section] = (),
    other_half: bool = False,
) -> DividedSection:
    """Divide the spots at random, choose genes on the training spots, and encode all spots for the recipe's model.

    All spots of auxiliary sections are training spots. With ``other_half`` the training spots are the test spots of the
    same seed, and the other way round.
    """
    study = Study.of(section, genes=recipe.genes, seed=seed)
    study = replace(study, auxiliary=tuple(auxiliary))
    if other_half:
        study = replace(study, training=study.test, test=study.training)
    panel = choose_genes(study)
    inputs = encode_study(study, recipe, compute)
    expression = log_cp10k(section.counts, columns=panel.columns).toarray()
    return DividedSection(study, inputs, gather_samples(study, panel, inputs), expression)


def encoded(
    section: hs.Section, recipe: hs.Recipe = hs.Recipe(), *, compute: hs.Compute = hs.Compute()
) -> Samples:
    """Return samples of all spots of a section, encoded for the recipe's model."""
    needs = recipe.build().needs
    encoder = encoder_for(section, recipe, needs=needs, compute=compute)
    inputs = encode_spots([section], needs=needs, encoder=encoder, compute=compute)
    return samples_of(section, select(section, recipe.genes), inputs)


def mean_pcc(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the mean correlation over genes; undefined correlations count as 0."""
    return float(np.nan_to_num(pearson(truth, prediction)).mean())


def arguments_of(description: str | None, *, seeds: list[int] | None = None) -> argparse.ArgumentParser:
    """Return a parser of sections, and of seeds where there are any."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+", type=Path)
    if seeds is not None:
        parser.add_argument("--seeds", nargs="+", type=int, default=seeds)
        parser.add_argument("--store", type=Path, help="folder for image features")
    return parser
