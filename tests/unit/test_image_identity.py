"""An image is known by all its bytes, however large it is and whatever its times are."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

import histosge as hs
from histosge.images.backends import identity
from histosge.images.slide import open_slide

DAY_NS = 86_400 * 10**9


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, for files of any size."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(identity, "_CACHED_BYTES", 0)
    return tmp_path / "cache"


def aged(path: Path) -> Path:
    """Return the path of a file as old as a day."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns - DAY_NS, status.st_mtime_ns - DAY_NS))
    return path


def test_an_image_corrected_in_place_is_another_image(tmp_path: Path) -> None:
    """Pixels mirrored in the middle of an uncompressed TIFF change its hash, although size, start and end stay."""
    pixels = np.random.default_rng(0).integers(0, 255, (1800, 900, 3), dtype=np.uint8)
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", metadata=None)
    before = path.read_bytes()
    first = open_slide(path, mpp=1.0).fingerprint
    pixels[800:1000] = pixels[800:1000, ::-1].copy()
    tifffile.imwrite(path, pixels, photometric="rgb", metadata=None)
    after = path.read_bytes()
    mebibyte = 1 << 20
    assert (len(before), before[:mebibyte], before[-mebibyte:]) == (
        len(after),
        after[:mebibyte],
        after[-mebibyte:],
    )
    assert open_slide(path, mpp=1.0).fingerprint != first


def test_a_copied_image_is_the_same_image(tmp_path: Path) -> None:
    """Neither name nor time counts."""
    (tmp_path / "one.tif").write_bytes(b"content")
    shutil.copy(tmp_path / "one.tif", tmp_path / "two.tif")
    aged(tmp_path / "two.tif")
    assert identity.file_identity(tmp_path / "one.tif") == identity.file_identity(tmp_path / "two.tif")


def test_a_large_image_is_hashed_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time its hash comes from the cache; a write is noticed even where the time is set back."""
    monkeypatch.setattr(identity, "_CLOCK_S", 0.0)
    path = tmp_path / "image.tif"
    path.write_bytes(b"content")
    times = path.stat()
    first = identity.file_identity(path)
    assert len(list(cache.rglob("*-hashes/*"))) == 1
    read = []
    monkeypatch.setattr(identity, "fingerprint_file", lambda path: read.append(path) or "0" * 32)
    assert identity.file_identity(path) == first
    assert not read
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert identity.file_identity(path) != first
    assert read == [path]


def test_a_file_that_just_changed_is_not_cached(tmp_path: Path, cache: Path) -> None:
    """Two writes within one tick of the clock could not be told apart later."""
    path = tmp_path / "image.tif"
    path.write_bytes(b"content")
    identity.file_identity(path)
    assert not cache.exists()


def test_a_damaged_or_forbidden_cache_costs_time_only(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that is no hash is computed again; a cache that is a file is done without."""
    monkeypatch.setattr(identity, "_CLOCK_S", 0.0)
    path = tmp_path / "image.tif"
    path.write_bytes(b"content")
    first = identity.file_identity(path)
    (entry,) = cache.rglob("*-hashes/*")
    entry.write_bytes(b"\xff damaged")
    assert identity.file_identity(path) == first
    shutil.rmtree(cache)
    cache.touch()
    assert identity.file_identity(path) == first


def test_files_beside_a_slide_count(tmp_path: Path) -> None:
    """The tiles of a MIRAX slide are in a folder beside it."""
    path = tmp_path / "slide.mrxs"
    path.write_bytes(b"index")
    (tmp_path / "slide").mkdir()
    (tmp_path / "slide" / "Data0000.dat").write_bytes(b"tiles")
    first = identity.file_identity(path)
    (tmp_path / "slide" / "Data0000.dat").write_bytes(b"other")
    assert identity.file_identity(path) != first


def test_a_fit_is_not_reused_for_a_corrected_image(tmp_path: Path) -> None:
    """The fit of the image before its correction is not the fit of the corrected one."""
    section = hs.synthetic(columns=8, rows=8, genes=12).section
    assert section.slide is not None
    pixels = section.slide.thumbnail(section.slide.mpp)
    keys = []
    for image in (pixels, pixels[:, ::-1]):
        tifffile.imwrite(
            tmp_path / "image.tif", np.ascontiguousarray(image), photometric="rgb", metadata=None
        )
        slide = open_slide(tmp_path / "image.tif", mpp=section.slide.mpp)
        corrected = hs.fit(
            replace(section, slide=slide),
            hs.Recipe(genes="all"),
        )
        keys.append(corrected.key)
    assert keys[0] != keys[1]
