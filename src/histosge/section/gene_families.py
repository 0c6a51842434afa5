"""Families of genes whose maps show little of a tissue: mitochondrial, ribosomal, immunoglobulin."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

import numpy as np

from histosge._runtime.types import Array

__all__ = ["IMMUNOGLOBULIN", "MITOCHONDRIAL", "RIBOSOMAL", "families_of"]

MITOCHONDRIAL, RIBOSOMAL, IMMUNOGLOBULIN = "mitochondrial", "ribosomal", "immunoglobulin"
_FILE = "gene_families.tsv"
# symbols of human and mouse; those of pseudogenes, which end otherwise, are left alone
_SYMBOLS = {
    MITOCHONDRIAL: re.compile(r"MT-", re.IGNORECASE),
    RIBOSOMAL: re.compile(r"(RP[SL]\d+[AXYL]?\d*(L\d+)?|RPSA|RPLP[012])$", re.IGNORECASE),
    IMMUNOGLOBULIN: re.compile(r"IG[HKL](?!MBP)[ACDEGMVJL]", re.IGNORECASE),
}


@lru_cache(maxsize=1)
def _of_id() -> dict[str, str]:
    """Return the family by Ensembl identifier, for sections whose genes are called so."""
    text = files("histosge.section").joinpath(_FILE).read_text(encoding="utf-8")
    return {row["id"]: row["family"] for row in csv.DictReader(text.splitlines(), delimiter="\t")}


def families_of(genes: Iterable[object], gene_ids: Iterable[object]) -> Array:
    """Return the family of each gene, by its symbol or its identifier; empty for others.

    Examples
    --------
    >>> families_of(["MT-CO1", "Rpl13", "IGKC", "ENSMUSG00000064337.1", "EPCAM"], [""] * 5).tolist()
    ['mitochondrial', 'ribosomal', 'immunoglobulin', 'mitochondrial', '']
    """
    pairs = zip(genes, gene_ids, strict=True)
    return np.array([_family(str(name), str(gene_id)) for name, gene_id in pairs], dtype=str)


def _family(name: str, gene_id: str) -> str:
    for family, pattern in _SYMBOLS.items():
        if pattern.match(name):
            return family
    known = _of_id()
    return known.get(name.split(".")[0], "") or known.get(gene_id.split(".")[0], "")
