"""Archives, and folders with the files of several samples, are read sample by sample."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import TRUTH, read

from histosge.datasets.synthetic import synthetic, write_legacy_st
from histosge.errors import DataError, UsageError

MATRIX = "filtered_feature_bc_matrix.h5"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep temporary folders of other processes out of the test."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def files_of(outs: Path, *, flat: bool = False) -> dict[str, Path]:
    """Return the files of a section by their paths in it."""
    paths = [path for path in sorted(outs.rglob("*")) if path.is_file()]
    return {path.name if flat else path.relative_to(outs).as_posix(): path for path in paths}


def tar(path: Path, files: dict[str, Path | bytes]) -> Path:
    """Write an archive, compressed where its name ends in gz."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, source in files.items():
            content = source if isinstance(source, bytes) else source.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def packed(path: Path, files: dict[str, Path]) -> Path:
    """Write a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in files.items():
            archive.write(source, name)
    return path


def same(path: Path, **options: Any) -> None:
    """The section that was packed is read, with its image, and nothing is left behind."""
    section = read(path, trust_alignment=True, **options)
    assert (section.counts != TRUTH.counts).nnz == 0
    assert np.abs(section.spots.xy - TRUTH.spots.xy).max() < 1
    assert section.slide is not None
    assert section.slide.thumbnail(16.0).std() > 1
    assert not list(Path(tempfile.gettempdir()).glob("histosge-*"))
    assert path in section.sources


def tar_of_outs(outs: Path, to: Path) -> Path:
    return tar(to / "GSM1_A.tar", {f"./A/outs/{name}": path for name, path in files_of(outs).items()})


def compressed(outs: Path, to: Path) -> Path:
    return tar(to / "GSM1_A.tar.gz", dict(files_of(outs)))


def zip_of_folder(outs: Path, to: Path) -> Path:
    return packed(to / "A.zip", {f"A/{name}": path for name, path in files_of(outs).items()})


def flat(outs: Path, to: Path) -> Path:
    return tar(
        to / "GSE_RAW.tar", {f"GSM1_A_{name}": path for name, path in files_of(outs, flat=True).items()}
    )


def nested(outs: Path, to: Path) -> Path:
    return tar(to / "GSE_RAW.tar", {"GSM1_A.tar.gz": compressed(outs, to)})


def parts(outs: Path, to: Path) -> Path:
    """A matrix, and an archive of the folder spatial, as 10x offers its data."""
    spatial = tar(to / "s.tar.gz", {name: path for name, path in files_of(outs).items() if "spatial" in name})
    return tar(to / "GSE_RAW.tar", {f"V1_{MATRIX}": outs / MATRIX, "V1_spatial.tar.gz": spatial})


def parts_in_a_folder(outs: Path, to: Path) -> Path:
    with tarfile.open(parts(outs, to)) as archive:
        archive.extractall(to / "unpacked", filter="data")
    return to / "unpacked"


@pytest.mark.parametrize(
    "pack",
    [tar_of_outs, compressed, zip_of_folder, flat, nested, parts, parts_in_a_folder],
    ids=lambda f: f.__name__,
)
def test_an_archive_of_a_sample_is_read(
    outs: Path, tmp_path: Path, pack: Callable[[Path, Path], Path]
) -> None:
    """Folders, prefixed names and archives inside of an archive give the section that was packed."""
    same(pack(outs, tmp_path))


def upload_of_samples(outs: Path, to: Path, form: str) -> Path:
    """Return an upload of two samples, of which A is TRUTH."""
    other = synthetic(columns=12, rows=12, genes=30, seed=5).section
    from histosge.datasets.synthetic import write_spaceranger

    second = write_spaceranger(other, to / "second")
    if form == "flat":
        names = {f"GSM1_A_{n}": p for n, p in files_of(outs, flat=True).items()}
        return tar(to / "RAW.tar", names | {f"GSM2_B_{n}": p for n, p in files_of(second, flat=True).items()})
    if form == "folders":
        names = {f"series/GSM1_A/outs/{n}": p for n, p in files_of(outs).items()}
        return packed(to / "RAW.zip", names | {f"series/GSM2_B/{n}": p for n, p in files_of(second).items()})
    if form == "nested":
        inner = {"GSM1_A.tar.gz": tar(to / "a.tar.gz", dict(files_of(outs)))}
        return tar(to / "RAW.tar", inner | {"GSM2_B.tar.gz": tar(to / "b.tar.gz", dict(files_of(second)))})
    folder = to / "one folder"
    folder.mkdir()
    for prefix, source in (("GSM1_A_", outs), ("GSM2_B_", second)):
        for name, path in files_of(source, flat=True).items():
            shutil.copy(path, folder / f"{prefix}{name}")
    return folder


@pytest.mark.parametrize("form", ["flat", "folders", "nested", "folder"])
def test_samples_are_listed_and_chosen_by_name(outs: Path, tmp_path: Path, form: str) -> None:
    """Without a choice both are named; `library_id` reads the one it names, and refuses others."""
    path = upload_of_samples(outs, tmp_path, form)
    with pytest.raises(UsageError, match=r"several samples: .*GSM1_A, .*GSM2_B.*`library_id`"):
        read(path)
    with pytest.raises(UsageError, match=r"no sample 'C'.*GSM1_A, .*GSM2_B"):
        read(path, library_id="C")
    same(path, library_id="GSM1_A")


def test_other_formats_are_read_from_archives(tmp_path: Path) -> None:
    """Legacy ST with its image, prefixed or not."""
    st = write_legacy_st(synthetic(columns=8, rows=8, genes=20, lattice="square").section, tmp_path / "st")
    for prefix in ("", "GSM1_A_"):
        section = read(tar(tmp_path / f"{prefix}st.tar", {f"{prefix}{p.name}": p for p in st.iterdir()}))
        assert section.platform.name == "legacy_st"
        assert section.slide is not None


def test_other_files_beside_a_section_are_none_of_it(outs: Path, st: Path, tmp_path: Path) -> None:
    """A backup in an archive, results in an h5ad, and other prefixed tables do not hinder a section's folder."""
    compressed(outs, tmp_path).rename(st / "backup.tar.gz")
    (st / "results.h5ad").write_bytes(b"")
    shutil.copy(next(st.glob("counts.*")), st / f"old_{next(st.glob('counts.*')).name}")
    shutil.copy(st / "spots.tsv", st / "old_spots.tsv")
    assert read(st).platform.name == "legacy_st"


@pytest.mark.parametrize(
    "name", ["../spatial/tissue_positions.csv", "/spatial/tissue_positions.csv", "a\\..\\b/x.h5ad"]
)
def test_files_outside_of_an_archive_are_refused(outs: Path, tmp_path: Path, name: str) -> None:
    """A member that would be written elsewhere is an error, and nothing is written."""
    path = tar(tmp_path / "evil.tar", {name: b"x", MATRIX: outs / MATRIX})
    with pytest.raises(DataError, match="outside"):
        read(path, library_id=None if name[0] != "." else "..")


def test_archives_that_unpack_to_too_much_are_refused(
    outs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More bytes than a section has end the unpacking."""
    monkeypatch.setattr("histosge.io.readers.uploads._MOST_BYTES", 1000)
    with pytest.raises(DataError, match="unpacks to more"):
        read(tar_of_outs(outs, tmp_path))


def test_damaged_and_empty_archives_are_named(outs: Path, tmp_path: Path) -> None:
    """An archive cut short, one of other files, one that is none."""
    path = compressed(outs, tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match="damaged, cut short"):
        read(path)
    with pytest.raises(DataError, match="no files of a section"):
        read(tar(tmp_path / "letters.tar", {"letter.txt": b"dear"}))
    (tmp_path / "x.zip").write_bytes(b"x")
    with pytest.raises(DataError, match="no archive"):
        read(tmp_path / "x.zip")


def test_choices_that_a_format_has_no_use_for_are_refused(outs: Path, st: Path) -> None:
    """A bin size for Visium, a library of a folder: the user would believe that they were followed."""
    with pytest.raises(UsageError, match="`bin_um` chooses bins of Visium HD"):
        read(outs, bin_um=8)
    with pytest.raises(UsageError, match="`library_id` chooses"):
        read(st, library_id="A")
