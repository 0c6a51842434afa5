"""Features: computed once, kept, vectors again, and made again where they were lost."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histosge._runtime import atomic_files as _atomic
from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.colour import CARD
from histosge.encoders.embed import embed
from histosge.encoders.feature_store import FeatureStore
from histosge.encoders.known_vectors import KnownVectors
from histosge.errors import DataError, OutputError
from histosge.images.patches import Patches

TISSUE = synthetic(columns=10, rows=10, genes=6).section
assert TISSUE.slide is not None
SLIDE = TISSUE.slide
LOCATIONS_UM = np.random.default_rng(0).uniform(100, 900, (1200, 2))


@dataclass(frozen=True)
class Counting:
    """The colour encoder, counting the patches it encodes; fails after so many chunks."""

    seen: list[int] = field(default_factory=list)
    fails_after: int = 99
    returns: Any = None
    card: Any = CARD
    fingerprint: str = "counting"

    def encode(self, patches: Any) -> Array:
        if len(self.seen) >= self.fails_after:
            raise KeyboardInterrupt
        self.seen.append(len(patches[0]))
        vectors: Array = load_encoder("colour").encode(patches)
        return vectors if self.returns is None else self.returns(vectors)


def folder_of(store: Path) -> Path:
    (folder,) = store.iterdir()
    return folder


def test_features_are_those_of_the_encoder() -> None:
    """With and without store, embedding reads patches and encodes them."""
    encoder = load_encoder("texture")
    patches = [Patches(SLIDE, LOCATIONS_UM[:40], size.size_um, size.px)[:] for size in encoder.card.patches]
    assert np.array_equal(embed(SLIDE, LOCATIONS_UM[:40], encoder), encoder.encode(patches))


@pytest.mark.parametrize("stored", [False, True])
def test_known_vectors_are_not_computed_again(tmp_path: Path, stored: bool) -> None:
    """Locations that were encoded before, in other order and among others, keep the bits of their vectors."""
    counting, store = Counting(), FeatureStore(tmp_path) if stored else None
    some = np.random.default_rng(1).permutation(1200)[:700]
    known = KnownVectors(LOCATIONS_UM[some], embed(SLIDE, LOCATIONS_UM[some], load_encoder("colour")))
    features = embed(SLIDE, LOCATIONS_UM, counting, store=store, known=known)
    assert np.array_equal(features[:], embed(SLIDE, LOCATIONS_UM, load_encoder("colour")))
    assert sum(counting.seen) == 500


def test_what_is_stored_is_not_computed_again(tmp_path: Path) -> None:
    """The second time no patch is encoded, and the values are the same bits."""
    encoder, store = Counting(), FeatureStore(tmp_path)
    first = embed(SLIDE, LOCATIONS_UM, encoder, store=store)[:]
    seen = sum(encoder.seen)
    second = embed(SLIDE, LOCATIONS_UM, encoder, store=store)
    assert sum(encoder.seen) == seen == len(LOCATIONS_UM)
    assert np.array_equal(first, second[:])
    assert np.array_equal(second[np.array([700, 3, 3])], first[[700, 3, 3]])
    assert np.array_equal(second[LOCATIONS_UM[:, 0] > 500], first[LOCATIONS_UM[:, 0] > 500])
    assert np.array_equal(second[10:20], first[10:20])


def test_an_interrupted_embedding_goes_on_chunk_by_chunk(tmp_path: Path) -> None:
    """What was finished before the interruption is kept; only the rest is computed."""
    store = FeatureStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        embed(SLIDE, LOCATIONS_UM, Counting(fails_after=1), store=store)
    rest = Counting()
    rows = embed(SLIDE, LOCATIONS_UM, rest, store=store)
    assert sum(rest.seen) == len(LOCATIONS_UM) - 512
    assert np.array_equal(rows[:], embed(SLIDE, LOCATIONS_UM, Counting()))


def test_a_killed_embedding_goes_on_where_it_was(tmp_path: Path) -> None:
    """After ``kill -9`` in the middle the chunks written stay; the rest is computed, to the same bits."""
    # the process kills itself with five chunks of eight encoded, of which four are written: no race with a clock
    code = """
import os, signal, sys, numpy as np
from pathlib import Path
from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.encoders.feature_store import FeatureStore
from histosge.encoders.known_vectors import KnownVectors
slide = synthetic(columns=10, rows=10, genes=6).section.slide
xy_um = np.random.default_rng(1).uniform(100, 900, (4000, 2))
def stop(done, total, text):
    if done >= 5 * 512:
        os.kill(os.getpid(), signal.SIGKILL)
embed(slide, xy_um, load_encoder("texture"), store=FeatureStore(Path(sys.argv[1])), progress=stop)
"""
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert process.returncode == -signal.SIGKILL
    journal = (folder_of(tmp_path) / "chunks.txt").read_text().splitlines()
    assert len([line for line in journal if line]) == 4
    xy_um = np.random.default_rng(1).uniform(100, 900, (4000, 2))
    seen: list[int] = []
    rows = embed(
        SLIDE,
        xy_um,
        load_encoder("texture"),
        store=FeatureStore(tmp_path),
        progress=lambda d, t, _: seen.append(t),
    )
    assert seen[0] == len(xy_um) - 4 * 512
    assert np.array_equal(rows[:600], embed(SLIDE, xy_um[:600], load_encoder("texture")))
    assert np.array_equal(rows[-600:], embed(SLIDE, xy_um[-600:], load_encoder("texture")))


@pytest.mark.parametrize("harm", ["cut", "lost", "journal", "changed"])
def test_damaged_chunks_are_made_again(tmp_path: Path, harm: str) -> None:
    """A chunk that was cut off, lost or changed, and a journal that was cut off, cost their chunks and nothing else."""
    store = FeatureStore(tmp_path)
    whole = embed(SLIDE, LOCATIONS_UM, Counting(), store=store)[:]
    chunk = folder_of(tmp_path) / "features" / "c" / "1" / "0"
    journal = folder_of(tmp_path) / "chunks.txt"
    if harm == "cut":
        chunk.write_bytes(chunk.read_bytes()[:100])
    elif harm == "lost":
        chunk.unlink()
    elif harm == "changed":
        chunk.write_bytes(bytes(len(chunk.read_bytes())))
    else:
        journal.write_text(journal.read_text()[:-20])
    again = Counting()
    assert np.array_equal(embed(SLIDE, LOCATIONS_UM, again, store=store)[:], whole)
    assert len(again.seen) == 1


def test_other_pixels_locations_or_orders_are_other_features(tmp_path: Path) -> None:
    """The key holds all that determines features: image, locations, encoder and channel order."""
    store, encoder = FeatureStore(tmp_path), load_encoder("colour")
    embed(SLIDE, LOCATIONS_UM[:9], encoder, store=store)
    embed(SLIDE, LOCATIONS_UM[:9] + 1, encoder, store=store)
    embed(SLIDE, LOCATIONS_UM[:9], encoder, store=store, channel_order="bgr")
    embed(SLIDE, LOCATIONS_UM[:9], load_encoder("colour", patch_um=80.0), store=store)
    embed(replace(SLIDE, mpp=SLIDE.mpp * 1.01), LOCATIONS_UM[:9], encoder, store=store)
    assert len(list(tmp_path.iterdir())) == 5


def test_bgr_swaps_red_and_blue() -> None:
    """The published accident can be had on purpose."""
    encoder = load_encoder("colour")
    right, swapped = (
        embed(SLIDE, LOCATIONS_UM[:9], encoder, channel_order=order)[:] for order in ("rgb", "bgr")
    )  # type: ignore[arg-type]
    assert np.array_equal(right[:, ::-1], swapped)


def test_a_full_disk_is_a_sentence_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up the error says so; the chunks before stay and are reused."""
    store, calls = FeatureStore(tmp_path), []
    from histosge.encoders import feature_store as room

    usual = room._open

    def full(path: Path, shape: tuple[int, ...]) -> Any:
        calls.append(path)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return usual(path, shape)

    monkeypatch.setattr(room, "_open", full)
    with pytest.raises(OutputError, match="disk is full"):
        embed(SLIDE, LOCATIONS_UM, Counting(), store=store)
    monkeypatch.setattr(room, "_open", usual)
    rest = Counting()
    embed(SLIDE, LOCATIONS_UM, rest, store=store)
    assert sum(rest.seen) == len(LOCATIONS_UM) - 512


@pytest.mark.parametrize(
    ("returns", "sentence"),
    [(lambda v: v[:, :2], "card"), (lambda v: v * np.float32("nan"), "NaN"), (lambda v: v[1:], "card")],
)
def test_an_encoder_that_breaks_its_word_is_refused(returns: Any, sentence: str) -> None:
    """Vectors of another shape, or not finite, never reach a model."""
    with pytest.raises(DataError, match=sentence):
        embed(SLIDE, LOCATIONS_UM[:9], Counting(returns=returns))


def test_a_store_deleted_under_way_is_a_sentence(tmp_path: Path) -> None:
    """Rows are read when asked for; if the folder is gone by then, the error names it."""
    rows = embed(SLIDE, LOCATIONS_UM, Counting(), store=FeatureStore(tmp_path))
    shutil.rmtree(folder_of(tmp_path))
    with pytest.raises(DataError, match="Delete that folder"):
        rows[:]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"zarr_format": 3, "node_type": "array"}', "shape"])
def test_damaged_metadata_of_a_store_are_refused(tmp_path: Path, content: str) -> None:
    """Metadata that were cut off, replaced or name another shape end with the folder to delete, not with a defect."""
    store = FeatureStore(tmp_path)
    embed(SLIDE, LOCATIONS_UM, Counting(), store=store)
    path = folder_of(tmp_path) / "features" / "zarr.json"
    path.write_text(path.read_text().replace("1200", "1100") if content == "shape" else content)
    with pytest.raises(DataError, match=r"are damaged .* Delete that folder"):
        embed(SLIDE, LOCATIONS_UM, Counting(), store=store)[:]


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    """A writer that fails leaves the old file, and nothing beside it."""
    path = tmp_path / "result.txt"
    path.write_text("old")

    def fail() -> None:
        with _atomic.atomic_path(path) as draft:
            draft.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["result.txt"]
