"""What is said of accuracy: how many genes are reliable, what the image added, and what a gene's pattern is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import histosge as hs
from histosge.figures.marker_maps import marker_maps
from histosge.prediction.accuracy_words import accuracy_sentences, follows_depth, gene_line

FIT: dict[str, Any] = {
    "image_weight": 0.25,
    "mean_r_loo": 0.156,
    "mean_r_loo_without_image": 0.151,
    "mean_r_loo_image_gain_se": 0.001,
    "reliable_genes": 1214,
    "expressed_genes": 9860,
}


@pytest.mark.parametrize(
    ("change", "uses_image", "words"),
    [
        ({}, True, "The image raised r"),
        ({"mean_r_loo": 0.140}, True, "The image lowered r"),
        ({"mean_r_loo_image_gain_se": 0.003}, True, "The image made no sure difference"),
        (
            {"mean_r_loo_image_gain_se": 0.0002},
            True,
            "The image raised r at spots left out from 0.151 to 0.156 (± less than 0.001).",
        ),
        (
            {"mean_r_loo_image_gain_se": None},
            True,
            "The image raised r at spots left out from 0.151 to 0.156.",
        ),
        ({"image_weight": 0.0}, True, "The image was not used: it did not help"),
        ({}, False, "No image was used"),
    ],
)
def test_the_image_helped_only_beyond_chance(change: dict[str, Any], uses_image: bool, words: str) -> None:
    """A gain within two standard errors is not called one; a model without image says so."""
    sentences = accuracy_sentences(FIT | change, uses_image=uses_image)
    assert len(sentences) == 2
    assert sentences[1].startswith(words)
    assert "shares" not in " ".join(sentences)


def test_the_number_of_reliable_genes_is_of_the_expressed_ones() -> None:
    """The denominator is the expressed genes; none and one are sentences too; unknown says nothing."""
    assert accuracy_sentences(FIT, uses_image=True)[0].startswith(
        "1\u202f214 of 9\u202f860 expressed genes fitted have"
    )
    assert accuracy_sentences(FIT | {"reliable_genes": 0}, uses_image=True)[0].startswith(
        "None of 9\u202f860"
    )
    assert (
        "1 of 9\u202f860 expressed genes fitted has"
        in accuracy_sentences(FIT | {"reliable_genes": 1}, uses_image=True)[0]
    )
    assert accuracy_sentences({"r_loo": 0.3}, uses_image=True) == ()


def test_a_pattern_of_total_counts_is_called_one() -> None:
    """Where less than half of r is left given depth; a gene without any pattern has none of depth either."""
    r, given_depth = np.array([0.5, 0.5, 0.1, np.nan]), np.array([0.24, 0.26, 0.0, np.nan])
    assert follows_depth(r, given_depth).tolist() == [True, False, False, False]
    assert "mostly that of total counts" in gene_line(0.5, 0.24)
    assert gene_line(0.5, 0.26) == "r 0.50 at spots left out, 0.26 given depth"
    assert gene_line(0.5, float("nan")) == "r 0.50 at spots left out"


def test_each_map_carries_its_accuracy() -> None:
    """The line of a gene stands below its first prediction, and a gene without one has an empty label."""
    section = hs.synthetic(columns=8, rows=8, genes=12).section
    locations = hs.at_spots(section)
    values = np.ones((len(locations), 12), dtype=np.float32)
    genes = [str(gene) for gene in section.genes[:2]]
    line = gene_line(0.5, 0.1)
    figure = marker_maps(
        section,
        [("", hs.Prediction(locations, section.genes, values))],
        genes,
        accuracy={genes[0]: line},
    )
    labels = [" ".join(axes.get_xlabel().split()) for axes in figure.axes[:6]]
    assert labels == ["", "", line, "", "", ""]


def test_a_sentence_says_what_gene_programs_were_worth() -> None:
    """Used programs have r with and without them; unused ones are named as such; a fit without any has no sentence."""
    worth = {"0": {"r_loo": 0.2, "r_loo_given_depth": 0.1}, "15": {"r_loo": 0.25, "r_loo_given_depth": 0.11}}
    used = accuracy_sentences(FIT | {"programs": {"used": 15, "worth": worth}}, uses_image=True)
    assert used[2].startswith("15 directions of gene programs were used")
    assert "from 0.200 to 0.250, given depth from 0.100 to 0.110" in used[2]
    unused = accuracy_sentences(FIT | {"programs": {"used": 0, "worth": worth}}, uses_image=True)
    assert "not used" in unused[2]
    assert len(accuracy_sentences(FIT, uses_image=True)) == 2
