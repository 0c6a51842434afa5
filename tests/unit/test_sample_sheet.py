"""Sample sheets: one row a section; what cannot be obeyed is refused."""

from __future__ import annotations

import pytest

from histosge.errors import DataError, UsageError
from histosge.section.target import Target
from histosge.workflow.cohort.plan import CohortPlan
from histosge.workflow.cohort.sheet import Sample, SampleSheet


def read(tmp_path, content: str | bytes) -> SampleSheet:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return SampleSheet.read(path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_become_samples_with_paths_relative_to_the_sheet(tmp_path, separator):
    """A row is a sample; paths are relative to the folder of the sheet, whatever the separator."""
    text = "sample,path,patient,mpp\nA,a b/outs,P1,0.5\nB,/abs/outs,P1,\n".replace(",", separator)
    first, second = read(tmp_path, text).samples
    assert first == Sample("A", str(tmp_path / "a b/outs"), patient="P1", mpp=0.5)
    assert second.path == "/abs/outs"
    assert second.mpp is None


def test_a_section_on_no_lattice_is_given_a_grid_in_the_sheet(tmp_path):
    """``spacing_um`` is where that section is predicted; without it keys of stages are those of earlier versions."""
    (tmp_path / "a").mkdir()
    first, second = read(tmp_path, "sample,path,spacing_um\nA,a,50\nB,a,\n").samples
    plan = CohortPlan(SampleSheet((first, second)), tmp_path / "out", target=Target(upsample=2))
    assert plan.target_of(first) == Target(spacing_um=50.0)
    assert plan.target_of(second) == Target(upsample=2)
    assert "spacing_um" in plan._stamp(first)["row"]
    assert "spacing_um" not in plan._stamp(second)["row"]


def test_sheets_of_sopa_and_trident_are_understood(tmp_path):
    """``data_path`` and ``wsi`` are the path; a sheet without names takes those of the files."""
    assert read(tmp_path, "sample,data_path,fastq_dir\nA,a,f\n").samples[0].path == str(tmp_path / "a")
    sample = read(tmp_path, "wsi,mpp\nslides/s1.svs,0.25\n").samples[0]
    assert (sample.sample, sample.mpp) == ("s1", 0.25)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_part_of_a_name(tmp_path, encoding):
    """Sheets that spreadsheet programs save with a byte-order mark are read."""
    text = "sample,path\nÄ,a\n"
    assert read(tmp_path, text.encode(encoding)).samples[0].sample == "Ä"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("sample,path\nA,a\na,b\n", UsageError),
        ("sample,path\n../A,a\n", UsageError),
        ("sample,path\nA,\n", UsageError),
        ("sample,path,pateint\nA,a,P\n", UsageError),
        ("sample,wsi,path\nA,a,a\n", UsageError),
        ("sample,path,mpp\nA,a,half\n", UsageError),
        ("sample\nA\n", UsageError),
        ("sample,path\n", UsageError),
        ("sample,path\nA,a,b\n", DataError),
        ("sample,path\nÄ,a\n".encode("latin-1"), DataError),
        (b"PK\x03\x04\0\0sample,path\n", DataError),
    ],
)
def test_sheets_that_cannot_be_obeyed_are_refused(tmp_path, content, error):
    """Repeated and forbidden names, unknown columns, missing paths, other encodings, workbooks: one sentence each."""
    with pytest.raises(error):
        read(tmp_path, content)


def test_a_missing_sheet_is_a_usage_error(tmp_path):
    """A path without a sheet is refused."""
    with pytest.raises(UsageError, match="none at"):
        SampleSheet.read(tmp_path / "none.csv")
