"""Public data sets: fetched once, pinned at first sight, refused when they change; served here by a local server."""

from __future__ import annotations

import json
import tarfile
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import histosge
from histosge.cli import commands
from histosge.datasets.fetch import LOCK, fetch
from histosge.datasets.public import PUBLIC, PublicDataset, Remote
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.errors import DataError, HistosgeWarning

HIRES = "tissue_hires_image.png"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and remembers what was asked for."""

    asked: list[str] = []  # noqa: RUF012

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Space Ranger folder as a public home has it: loose files, and ``spatial`` as an archive."""
    home = tmp_path_factory.mktemp("home")
    write_spaceranger(synthetic(columns=8, rows=8, genes=20).section, home / "outs")
    with tarfile.open(home / "sample_spatial.tar.gz", "w:gz") as archive:
        archive.add(home / "outs" / "spatial", "spatial")
    (home / "layers.tsv").write_text(
        "AAA-1\t151673\tL1\nBBB-1\t151673\tNA\nCCC-1\t151674\tWM\n", encoding="utf-8"
    )
    return home


@pytest.fixture
def server(served: Path) -> Iterator[str]:
    """Its address."""
    Quiet.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def dataset(address: str, served: Path, **other: Any) -> PublicDataset:
    matrix = next((served / "outs").glob("*.h5")).name
    files = (
        Remote(f"{address}/outs/{matrix}", "filtered_feature_bc_matrix.h5"),
        Remote(f"{address}/sample_spatial.tar.gz", "spatial.tar.gz"),
        Remote(f"{address}/outs/spatial/{HIRES}", "image.png", image=True),
    )
    return replace(PublicDataset("toy/1", "A toy.", 63, files, "none"), **other)


def test_what_is_fetched_can_be_read(server: str, served: Path, tmp_path: Path) -> None:
    """The files make a section that equals the one at home."""
    folder = fetch(dataset(server, served), tmp_path)
    assert folder == tmp_path / "toy" / "1"
    here, there = histosge.read(folder), histosge.read(served / "outs")
    assert here.spots.ids.tolist() == there.spots.ids.tolist()
    assert (here.counts != there.counts).nnz == 0
    assert here.slide is not None


def test_files_are_fetched_once_and_pinned(server: str, served: Path, tmp_path: Path) -> None:
    """A second time nothing is asked for; the lock holds a SHA-256 of every file; large images can be left out."""
    fetch(dataset(server, served), tmp_path, image=False)
    assert not any(HIRES in path for path in Quiet.asked)
    fetch(dataset(server, served), tmp_path)
    asked = list(Quiet.asked)
    fetch(dataset(server, served), tmp_path)
    assert Quiet.asked == asked
    assert len(asked) == 3
    pinned = json.loads((tmp_path / LOCK).read_text())
    import hashlib

    archive = (served / "sample_spatial.tar.gz").read_bytes()
    assert pinned[f"{server}/sample_spatial.tar.gz"] == hashlib.sha256(archive).hexdigest()
    assert len(pinned) == 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".fetch-")]


def test_a_file_that_changed_is_refused(server: str, served: Path, tmp_path: Path) -> None:
    """A file with another hash than at its first download is refused."""
    known = dataset(server, served)
    (tmp_path / LOCK).write_text(json.dumps({known.files[0].url: "0" * 64}))
    with pytest.raises(DataError, match="not the file that was fetched first"):
        fetch(known, tmp_path)
    assert not list((tmp_path / "toy").rglob("*.h5"))


def test_another_number_of_spots_is_said(server: str, served: Path, tmp_path: Path) -> None:
    """Spots are counted in the matrix that arrived; another number than the description's is a warning with both."""
    with pytest.warns(HistosgeWarning, match="'toy/1' has 63 spots, expected 70"):
        folder = fetch(dataset(server, served, spots=70), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fetch(dataset(server, served), tmp_path)
    (folder / "filtered_feature_bc_matrix.h5").write_bytes(b"no matrix")
    with pytest.raises(DataError, match="no matrix of Space Ranger"):
        fetch(dataset(server, served), tmp_path)


def test_a_damaged_lock_is_one_sentence(server: str, served: Path, tmp_path: Path) -> None:
    """A lock that is no JSON is refused, not overwritten."""
    (tmp_path / LOCK).write_text("{")
    with pytest.raises(DataError, match="lock file"):
        fetch(dataset(server, served), tmp_path)
    assert (tmp_path / LOCK).read_text() == "{"


@pytest.mark.parametrize("harm", ["missing", "closed", "no archive", "other archive"])
def test_what_cannot_be_fetched_is_one_sentence(server: str, served: Path, tmp_path: Path, harm: str) -> None:
    """Missing files, closed homes and bad archives leave nothing half-written."""
    url = {
        "missing": f"{server}/nothing.tar.gz",
        "closed": "http://127.0.0.1:9/spatial.tar.gz",
        "no archive": f"{server}/layers.tsv",
        "other archive": f"{server}/other.tar.gz",
    }[harm]
    if harm == "other archive":
        with tarfile.open(served / "other.tar.gz", "w:gz") as archive:
            archive.add(served / "layers.tsv", "elsewhere.tsv")
    bad = dataset(server, served, files=(Remote(url, "spatial.tar.gz"),))
    with pytest.raises(DataError):
        fetch(bad, tmp_path)
    assert not (tmp_path / "toy" / "1" / "spatial").exists()
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {LOCK}


def test_an_archive_cannot_write_outside_its_folder(server: str, served: Path, tmp_path: Path) -> None:
    """A member whose name leads out of the folder is refused."""
    with tarfile.open(served / "evil.tar.gz", "w:gz") as archive:
        archive.add(served / "layers.tsv", "../../evil.tsv")
    bad = dataset(server, served, files=(Remote(f"{server}/evil.tar.gz", "spatial.tar.gz"),))
    with pytest.raises(DataError):
        fetch(bad, tmp_path / "inside")
    assert not list(tmp_path.rglob("evil.tsv"))


def test_layers_are_those_of_the_section(server: str, served: Path, tmp_path: Path) -> None:
    """Of a table for several sections one's rows are kept; what is not annotated is empty."""
    files = (Remote(f"{server}/layers.tsv", "all_layers.tsv"),)
    known = dataset(server, served, name="dlpfc/151673", files=files, layers="all_layers.tsv")
    folder = fetch(known, tmp_path)
    assert (folder / "layers.tsv").read_text() == "barcode\tlayer\nAAA-1\tL1\nBBB-1\t\n"


def test_the_papers_data_are_listed() -> None:
    """Twelve sections of cortex, the mouse brain twice, two breast cancers; with what a careful user must know."""
    names = sorted(PUBLIC)
    assert len([name for name in names if name.startswith("dlpfc/")]) == 12
    assert {"mouse-brain", "mouse-brain-fluorescence", "bc1", "bc2"} < set(names)
    assert sum(PUBLIC[name].spots for name in names if name.startswith("dlpfc/")) == 47_681
    assert PUBLIC["mouse-brain"].spots == 2702
    assert "2903" in PUBLIC["mouse-brain"].caveat
    assert "3798" in PUBLIC["bc1"].caveat
    assert all(remote.url.startswith("https://") for name in names for remote in PUBLIC[name].files)


def test_the_command_lists_and_fetches(
    server: str, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``histosge datasets`` lists them; with a name it fetches; a wrong name is answered with near misses."""
    listed = CliRunner().invoke(commands(), ["datasets"])
    known = json.loads(CliRunner().invoke(commands(), ["datasets", "--json"]).stdout)["datasets"]
    assert [each["name"] for each in known] == list(PUBLIC)
    assert listed.exit_code == 0
    assert "bc1" in listed.stdout
    wrong = CliRunner().invoke(commands(), ["datasets", "bc3", "--out", str(tmp_path)])
    assert wrong.exit_code == 2
    assert "bc1" in wrong.stderr
    monkeypatch.setattr("histosge.datasets.public.PUBLIC", {"toy/1": dataset(server, served), "toy/2": None})
    reply = CliRunner().invoke(
        commands(), ["datasets", "toy/1", "--out", str(tmp_path), "--no-image", "--json"]
    )
    assert reply.exit_code == 0, reply.stderr
    assert json.loads(reply.stdout) == {"toy/1": str(tmp_path / "toy" / "1")}
    assert (tmp_path / "toy" / "1" / "spatial").is_dir()
