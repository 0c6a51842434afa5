"""Stages of a job: numbered progress, and one clock."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import histosge as hs
from histosge.workflow.stages import RUN_STAGES, Stages


def test_progress_names_and_numbers_the_stage() -> None:
    """The text is ``3 of 6 · image features · texture``; a stage that is added counts too."""
    calls: list[tuple[int, int, str]] = []
    stages = Stages(RUN_STAGES, lambda *call: calls.append(call))
    with stages("encode") as progress:
        assert progress is not None
        progress(5, 10, "texture")
    label = "3 of 6 · image features"
    assert calls == [(0, 1, label), (5, 10, f"{label} · texture"), (1, 1, label)]
    stages.add("leave_one_section_out", before="predict")
    with stages("predict"):
        pass
    assert calls[-1] == (1, 1, "6 of 7 · predict")


def test_the_clock_covers_all_stages_and_what_is_between() -> None:
    """Seconds count from the start of the job, and are at least those of its stages."""
    stages = Stages(("fit", "predict"))
    with stages("fit") as progress:
        assert progress is None
        time.sleep(0.01)
    time.sleep(0.01)
    assert stages.costs["fit"]["wall_s"] >= 0.01
    assert stages.seconds >= stages.costs["fit"]["wall_s"] + 0.01


def test_a_run_reports_its_stages_in_order(tmp_path: Path) -> None:
    """From Python a run has five stages, each begun after the one before, and the result holds their cost."""
    texts: list[str] = []
    section = hs.synthetic(columns=8, rows=8, genes=12).section
    compute = hs.Compute(progress=lambda done, total, text: texts.append(text))
    recipe, target = hs.Recipe(genes="all", options={"factors": 3}), hs.Target(upsample=1)
    result = hs.run(section, recipe, target=target, out=tmp_path, compute=compute)
    assert list(result.stages) == list(RUN_STAGES[1:])
    assert list(dict.fromkeys(int(text[0]) for text in texts)) == [1, 2, 3, 4, 5]
    assert all(text[1:6] == " of 5" for text in texts)
    assert result.as_dict()["seconds"] == result.seconds


@pytest.mark.parametrize("name", RUN_STAGES)
def test_every_stage_has_a_label(name: str) -> None:
    """Labels are words, without underscores."""
    labels: list[str] = []
    with Stages(RUN_STAGES, lambda done, total, text: labels.append(text))(name):
        pass
    assert "_" not in labels[0]
