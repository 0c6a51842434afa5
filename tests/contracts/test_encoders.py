"""What every encoder keeps, whatever it is; a new one is tested without a line written here."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import histosge
from histosge.encoders import ENCODERS, Setup, load_encoder
from histosge.encoders.dense import DENSE
from histosge.errors import HistosgeError, UsageError, WeightsError
from histosge.testing.encoder_properties import ENCODER_PROPERTIES, random_patches

NAMES = sorted(ENCODERS)
BUILT_IN = [name for name in NAMES if ENCODERS[name].card.source is None]
REFERENCES = (Path(histosge.__file__).parent / "workflow/references.bib").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_a_user_must_know(name: str) -> None:
    """Dimension, patches, licence, gate, a citation that exists; all of it fit for JSON."""
    card = ENCODERS[name].card
    assert card.name == name
    assert card.dim > 0
    assert card.patches
    assert card.licence
    assert card.summary.endswith(".")
    assert (card.mean is None) == (card.std is None)
    assert re.search(rf"@\w+\{{{card.citation},", REFERENCES), f"{card.citation} is not in references.bib"
    assert card.source is not None or not card.gated
    json.dumps(dataclasses.asdict(card))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BUILT_IN])
def test_missing_weights_are_one_sentence_and_never_random(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without weights there is no encoder, and the error says what to do."""
    monkeypatch.setattr("histosge.encoders.weights._hub_is_reachable", lambda: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HistosgeError) as caught:
        load_encoder(name)
    # an encoder whose package is missing says so first
    assert caught.value.exit_code in (2, 4)
    assert "\n" not in str(caught.value)
    assert re.search(r"`weights`|pip install|run `", str(caught.value))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BUILT_IN])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    """A local path that does not exist is refused with exit code 4, or 2 where a package is missing."""
    with pytest.raises((WeightsError, UsageError)):
        load_encoder(name, Setup(weights=tmp_path / "nothing.bin"))


@pytest.mark.parametrize("check", ENCODER_PROPERTIES)
@pytest.mark.parametrize("name", BUILT_IN)
def test_an_encoder_has_the_properties_that_plug_ins_are_held_to(name: str, check: str) -> None:
    """Card, vectors, flat patches, the same bits in any batch, pixels that stay: the checks of `histosge.testing`."""
    # dense encoders compute tiles: tests/unit/test_dense_encoders.py asks the same of a location
    if name.endswith(DENSE) and check == "any_batch":
        return
    ENCODER_PROPERTIES[check](load_encoder(name))


@pytest.mark.parametrize("name", BUILT_IN)
def test_rotated_tissue_has_the_same_vector(name: str) -> None:
    """Built-in encoders do not depend on how the tissue lies on the glass."""
    encoder = load_encoder(name)
    batch = random_patches(encoder, 6)
    straight = encoder.encode(batch)
    for turn in range(1, 4):
        turned = [np.ascontiguousarray(np.rot90(size, turn, (1, 2))) for size in batch]
        assert np.allclose(encoder.encode(turned), straight, atol=1e-4)
    mirrored = [np.ascontiguousarray(size[:, :, ::-1]) for size in batch]
    assert np.allclose(encoder.encode(mirrored), straight, atol=1e-4)


def test_another_width_is_another_encoder() -> None:
    """`patch_um` scales all patches together and changes the fingerprint, so that stored features are not mixed up."""
    usual, wide = load_encoder("texture"), load_encoder("texture", patch_um=110.0)
    assert [p.size_um for p in wide.card.patches] == [2 * p.size_um for p in usual.card.patches]
    assert usual.fingerprint != wide.fingerprint
    with pytest.raises(UsageError, match="positive"):
        load_encoder("texture", patch_um=-1.0)
