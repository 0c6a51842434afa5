"""Gene programs in a fit: aligned to its genes, described in its records, refused where they cannot be right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from program_samples import adata_of, counts_of, write_table
from scipy import sparse

import histosge as hs
from histosge.errors import DataError, UsageError
from histosge.programs.alignment import AlignedPrograms, programs_of
from histosge.workflow.fit import FitPlan

GENES = np.array([f"GENE{number:02d}" for number in range(80)])


def section_with(seed: int = 5, names: np.ndarray = GENES, depth: float = 2000.0) -> hs.Section:
    """Return a section whose counts follow the directions of the samples."""
    section = hs.synthetic(columns=10, rows=10, genes=12, seed=seed).section
    counts = sparse.csr_matrix(counts_of(len(section), seed=seed, depth=depth))
    return replace(section, counts=counts, genes=names, gene_ids=names)


def test_directions_follow_the_names_of_the_genes() -> None:
    """Aligned directions are those of the programs, in the order of the genes asked for; missing genes are 0."""
    programs = hs.programs.build(adata_of(counts_of(300)))
    order = np.random.default_rng(0).permutation(len(GENES))
    names = np.array([*GENES[order], "OTHER1"])
    aligned = AlignedPrograms.of([programs], names, names, where="a section")
    whole = AlignedPrograms.of([programs], GENES, GENES, where="a section")
    assert not aligned.directions[:, -1].any()
    similarity = np.abs((aligned.directions[:3, :-1] * whole.directions[:3, order]).sum(axis=1))
    assert np.allclose(similarity, 1, atol=1e-4)
    assert (aligned.summary.common, aligned.summary.genes) == (80, 80)


def test_half_of_the_genes_keep_their_covariance() -> None:
    """Directions over some of the genes are the principal axes of their covariance, not pieces of longer ones."""
    programs = hs.programs.build(adata_of(counts_of(300)))
    some = GENES[::2]
    aligned = AlignedPrograms.of([programs], some, some, where="a section")
    covariance = programs.scaled[:, ::2].T @ programs.scaled[:, ::2]
    assert np.allclose(aligned.directions @ aligned.directions.T, np.eye(len(aligned.directions)), atol=1e-6)
    first = aligned.directions[0]
    assert np.allclose(covariance @ first, (first @ covariance @ first) * first, atol=1e-4)


def test_programs_without_a_common_gene_are_refused() -> None:
    """A section of other names is refused with its own name."""
    programs = hs.programs.build(adata_of(counts_of()))
    other = section_with(names=np.array([f"OTHER{number}" for number in range(80)]))
    with pytest.raises(UsageError, match="No gene of section"):
        hs.fit(other, hs.Recipe("kriging", genes="all"), programs=programs)


def test_programs_of_another_species_are_refused() -> None:
    """Mouse programs are not joined to a human section by case-blind names."""
    mouse = np.array([name.capitalize() for name in GENES])
    programs = hs.programs.build(adata_of(counts_of(), mouse))
    with pytest.raises(UsageError, match=r"of human.*got mouse"):
        hs.fit(section_with(), hs.Recipe("kriging", genes="all"), programs=programs)


def test_few_common_genes_are_reported() -> None:
    """Programs with a tenth of the fitted genes warn."""
    programs = hs.programs.build(adata_of(counts_of()[:, :8], GENES[:8]))
    with pytest.warns(hs.HistosgeWarning, match="Only 8 of the 80 genes"):
        hs.fit(section_with(), hs.Recipe("kriging", genes="all"), programs=programs)


def test_a_fit_of_other_programs_is_another_fit() -> None:
    """The key of a fit depends on the content of the programs, and not on where they come from."""
    section, recipe = section_with(), hs.Recipe("kriging", genes="all")
    first, second = (hs.programs.build(adata_of(counts_of(seed=seed))) for seed in (1, 2))
    keys = [FitPlan.of(section, recipe, programs=part).key for part in ((), first, second, [first, second])]
    assert len(set(keys)) == 4
    assert FitPlan.of(section, recipe, programs=adata_of(counts_of(seed=1))).key == keys[1]


def test_samples_carry_the_programs_of_their_genes() -> None:
    """Samples carry directions in the order of their genes, without the section's own counts in them."""
    section = section_with()
    plan = FitPlan.of(section, hs.Recipe("kriging", genes="hvg:30"), programs=adata_of(counts_of(seed=1)))
    assert plan.programs is not None
    samples = plan.sections.gather(plan.panel.by_name(), plan.encoded(hs.Compute()))
    joined = plan.programs.joined(samples)
    assert joined.programs is not None
    assert joined.programs.shape[1] == len(samples.genes) == 30


def test_data_are_built_from_on_the_fly(tmp_path: Path) -> None:
    """Raw data in place of a file of programs gives the same programs; files of both kinds may be mixed."""
    table = write_table(tmp_path / "a.tsv", counts_of(seed=1))
    built = hs.programs.build(table)
    path = hs.programs.write(built, tmp_path / "a.programs.h5")
    assert programs_of(table)[0].fingerprint == programs_of(path)[0].fingerprint == built.fingerprint
    assert len(programs_of([path, write_table(tmp_path / "b.tsv", counts_of(seed=2))])) == 2
    (tmp_path / "c.programs.h5").write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match="damaged"):
        programs_of(tmp_path / "c.programs.h5")


def test_a_run_records_its_programs(tmp_path: Path) -> None:
    """`run.json` and `fit.json` name the files, profiles and common genes of the programs."""
    section = section_with()
    recipe = hs.Recipe("kriging", genes="all")
    programs = hs.programs.build(write_table(tmp_path / "liver.tsv", counts_of(seed=1)), licence="CC0")
    hs.run(section, recipe, programs=programs, out=tmp_path / "out", outputs=hs.Outputs(figures=False))
    for name in ("run.json", "fit/fit.json"):
        record = json.loads((tmp_path / "out" / name).read_text())["programs"]
        assert record["names"] == ["liver"]
        assert (record["profiles"], record["common"], record["licences"]) == (120, 80, ["CC0"])
    loaded = hs.load_fit(section, tmp_path / "out" / "fit")
    assert loaded.programs_summary is not None
    assert loaded.programs_summary.profiles == 120


def test_the_audit_refuses_programs_of_the_section_that_is_scored() -> None:
    """Programs built of the scored section, or of a thinned copy of it, are a leak; those of another one are none."""
    section = section_with(depth=300.0)
    thinned = np.random.default_rng(0).binomial(section.counts.toarray().astype(int), 0.5)[::-1]
    for counts in (section.counts.toarray(), thinned):
        with pytest.raises(DataError, match="gene programs hold the section that is scored"):
            hs.evaluate(
                section, "kriging", seeds=1, genes="all", programs=hs.programs.build(adata_of(counts))
            )
    hs.evaluate(section, "kriging", seeds=1, genes="all", programs=adata_of(counts_of(seed=9, depth=300.0)))
