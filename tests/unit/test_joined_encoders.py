"""Encoders can be joined: each is computed, stored and weighed by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from cokriging_samples import FEATURES, SAMPLES, SECTION, TEST, TRAINING, N

import histosge as hs
from histosge._runtime.types import Array
from histosge.encoders import ENCODERS, load_encoder
from histosge.encoders.base import EncoderCard, EncoderEntry, PatchSize, Setup
from histosge.encoders.embed import embed
from histosge.encoders.feature_store import FeatureStore
from histosge.encoders.joined import JoinedEncoder
from histosge.evaluation.plan import Plan
from histosge.evaluation.plan_file import parse_plan
from histosge.evaluation.trial import trial_key
from histosge.models import build_model, saving
from histosge.section.inputs import Inputs, concatenated

NOISE = np.random.default_rng(5).normal(size=(N, 30)).astype(np.float32)


def joined(*features: Array) -> Inputs:
    """Return the spots with the features of several encoders."""
    dims = tuple((f"encoder {number}", part.shape[1]) for number, part in enumerate(features))
    columns = np.concatenate(features, axis=1)
    return replace(SAMPLES.inputs, features=columns, joined=dims if len(dims) > 1 else ())


def predicted(inputs: Inputs) -> tuple[Array, dict[str, object]]:
    """Return expression predicted at the test spots from the others, and the summary of the fit."""
    samples = replace(SAMPLES, inputs=inputs).take(TRAINING)
    predictor = build_model("cokriging").fit(samples)
    ((_, mean, _),) = list(predictor.blocks(inputs.take(TEST)))
    return mean, dict(predictor.summary())


@cache
def features_alone() -> tuple[Array, dict[str, object]]:
    """Return what the features predict alone."""
    return predicted(joined(FEATURES))


def mean_r(prediction: Array) -> float:
    """Return the mean correlation over genes at the test spots."""
    truth = SAMPLES.expression[TEST]
    return float(np.mean([np.corrcoef(truth[:, g], prediction[:, g])[0, 1] for g in range(truth.shape[1])]))


def test_an_encoder_joined_with_itself_is_that_encoder() -> None:
    """Twice the same features predict what they predict once."""
    alone, _ = features_alone()
    twice, summary = predicted(joined(FEATURES, FEATURES))
    assert np.abs(twice - alone).max() < 1e-3 * alone.std()
    assert [name for name, _ in summary["encoder_shares"]] == ["encoder 0", "encoder 1"]  # type: ignore[attr-defined]


def test_an_encoder_of_noise_costs_nothing() -> None:
    """Beside noise, in either order, the features predict as well as alone, less than 0.3 %."""
    alone, _ = features_alone()
    for parts in ((FEATURES, NOISE), (NOISE, FEATURES)):
        beside, summary = predicted(joined(*parts))
        assert mean_r(beside) > 0.997 * mean_r(alone)
        shares = [share for _, share in summary["encoder_shares"]]  # type: ignore[attr-defined]
        assert shares[0 if parts[0] is FEATURES else 1] >= 0.75


def test_encoders_of_different_structures_share_the_image_kernels() -> None:
    """Each gains by the other, and both predict what the better one predicts alone."""
    halves = FEATURES[:, :2], FEATURES[:, 2:]
    alone = [mean_r(predicted(joined(half))[0]) for half in halves]
    both, summary = predicted(joined(*halves))
    assert mean_r(both) > 0.999 * max(alone)
    assert min(share for _, share in summary["encoder_shares"]) > 0  # type: ignore[attr-defined]


def test_a_fit_to_joined_encoders_is_kept_on_disk(tmp_path: Path) -> None:
    """A saved fit predicts the same bits again."""
    inputs = joined(FEATURES, NOISE)
    model = build_model("cokriging")
    predictor = model.fit(replace(SAMPLES, inputs=inputs).take(TRAINING))
    saving.save(tmp_path / "fit", model, predictor)
    _, restored = saving.load(tmp_path / "fit")
    rows = [next(iter(part.blocks(inputs.take(TEST))))[1] for part in (predictor, restored)]
    assert np.array_equal(rows[0], rows[1])


def test_each_encoder_is_computed_and_stored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joined with another one, features are those of the store; the rows are those of each encoder, side by side."""
    store, xy = FeatureStore(tmp_path), SECTION.spots.xy[:40]
    assert SECTION.slide is not None
    texture = embed(SECTION.slide, xy, load_encoder("texture"), store=store)
    both = load_encoder("texture+colour")
    assert isinstance(both, JoinedEncoder)
    monkeypatch.setattr(type(both.parts[0]), "encode", lambda *_: pytest.fail("computed again"))
    rows = embed(SECTION.slide, xy, both, store=store)
    assert len(list(tmp_path.iterdir())) == 2
    assert rows.shape == (40, 153)
    assert np.array_equal(rows[np.array([3, 1])][:, :150], texture[np.array([3, 1])])


def test_other_models_read_standardised_features_side_by_side() -> None:
    """A network's inputs of joined encoders have standard deviation 1; ridge regression predicts with them."""
    from histosge.models.deep.inputs import InputScaling

    inputs = joined(1000 * FEATURES, NOISE)
    model = build_model("histosge")
    scaling = InputScaling.of(
        inputs, replace(model.needs, colour=False), standardise=True, join_position=False
    )
    read = scaling.features(inputs, replace(model.needs, colour=False), join_position=False)
    assert np.allclose(read.std(axis=0), 1.0, atol=0.1)
    mean = next(iter(build_model("ridge").fit(replace(SAMPLES, inputs=inputs)).blocks(inputs)))[1]
    assert np.isfinite(mean).all()


def test_sections_keep_what_was_joined() -> None:
    """Inputs of several sections name the same encoders; other ones are refused."""
    first = joined(FEATURES, NOISE)
    assert concatenated([first, first]).joined == first.joined
    with pytest.raises(hs.DataError, match="same image features"):
        concatenated([first, joined(NOISE, FEATURES)])
    with pytest.raises(hs.DataError, match="Expected 30 features"):
        replace(first, joined=(("noise", 30),))


@dataclass(frozen=True)
class Reader:
    """An encoder that keeps the file it was given."""

    card: EncoderCard
    weights: Path | None
    fingerprint: str = "reader"

    def encode(self, patches: list[Array]) -> Array:
        """Return one number a patch."""
        return np.zeros((len(patches[0]), 1), dtype=np.float32)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two encoders with weights of their own."""
    len(ENCODERS)
    entries = dict(ENCODERS)
    for name in ("one", "two"):
        card = EncoderCard(name, 1, (PatchSize(55.0, 8),), source=name)
        entries[name] = EncoderEntry(card, lambda setup, card=card: Reader(card, setup.weights))  # type: ignore[misc]
    monkeypatch.setattr(ENCODERS, "_entries", entries)


@pytest.mark.usefixtures("readers")
def test_each_encoder_has_its_own_file_of_weights() -> None:
    """Files are given by the name of the encoder; one without a name belongs to the only encoder with weights."""

    def files(name: str, setup: Setup) -> list[Path | None]:
        both = load_encoder(name, setup)
        assert isinstance(both, JoinedEncoder)
        return [part.weights for part in both.parts if isinstance(part, Reader)]

    named = hs.Compute(weights={"one": "1.bin", "two": "2.bin"}).setup
    assert files("two+one", named) == [Path("2.bin"), Path("1.bin")]
    assert files("texture+one", Setup(weights=Path("f"))) == [Path("f")]
    assert files("one+two", Setup(weights=Path("f"), named_weights=(("one", Path("1")),))) == [
        Path("1"),
        Path("f"),
    ]
    with pytest.raises(hs.UsageError, match="one=FILE"):
        load_encoder("one+two", Setup(weights=Path("f")))
    with pytest.raises(hs.UsageError, match="'three' that there is not"):
        load_encoder("one", Setup(named_weights=(("three", Path("f")),)))


def test_each_encoder_has_its_own_width_of_patches() -> None:
    """Widths are given by the name of the encoder, in a recipe and in a plan; those of other encoders are refused."""
    both = load_encoder("texture+colour", patch_um={"colour": 80.0})
    assert [patch.size_um for patch in both.card.patches] == [55.0, 110.0, 220.0, 80.0]
    plan = Plan(
        ("a",), ("cokriging",), encoders=("texture", "texture+colour"), patch_um={"colour": 80.0}, seeds=(0,)
    )
    widths = {
        trial.encoder: trial.recipe.patch_um for trial in plan.trials() if trial.recipe.model == "cokriging"
    }
    assert widths == {"texture": None, "texture+colour": {"colour": 80.0}}
    with pytest.raises(hs.UsageError, match="names 'uni'"):
        hs.Recipe(encoder="texture+colour", patch_um={"uni": 80.0})
    with pytest.raises(hs.UsageError, match="none of the encoders"):
        replace(plan, patch_um={"uni": 80.0})


def test_a_plan_on_disk_has_widths_of_patches() -> None:
    """A number, or a table of encoders and numbers; anything else is refused."""
    content = {"sections": ["a"], "models": ["cokriging"], "encoders": ["texture+colour"]}
    for width in (80, {"colour": 80.5}):
        assert parse_plan(content | {"patch_um": width}, Path()).patch_um == width
    for wrong in ("80", True, {"colour": "wide"}):
        with pytest.raises(hs.UsageError, match="table of encoders and numbers"):
            parse_plan(content | {"patch_um": wrong}, Path())


def test_other_weights_and_widths_are_another_trial(tmp_path: Path) -> None:
    """A finished trial is not taken for one of other weights or another patch."""
    (tmp_path / "a.bin").write_bytes(b"a")
    (tmp_path / "b.bin").write_bytes(b"b")
    usual = Plan((SECTION,), ("cokriging",), encoders=("uni",), baselines=False, seeds=(0,))
    wide = replace(usual, patch_um=200.0)
    keys = [
        trial_key(plan, next(iter(plan.trials())), hs.Compute(weights=weights).setup)
        for plan in (usual, wide)
        for weights in (None, tmp_path / "a.bin", tmp_path / "b.bin")
    ]
    assert len(set(keys)) == 6


def test_joined_encoders_are_cited_and_named() -> None:
    """Every one of them, once."""
    assert hs.citation(["uni+virchow2"]).count("@") == 3
    card = ENCODERS["texture+uni"].card
    assert card.name == "texture+uni"
    assert card.gated
    assert "CC-BY-NC-ND-4.0" in card.licence
