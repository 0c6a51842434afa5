"""Weights: found where they are, read whole or not at all, loaded strictly, refused in one sentence."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from histosge.encoders import weights
from histosge.encoders.strict_loading import load_strictly
from histosge.encoders.uni import UNI
from histosge.encoders.weights import content_hash, find_weights, is_cached, read_state
from histosge.errors import WeightsError

CARD = UNI.card
FREE = replace(CARD, name="free", gated=False, source="somebody/free")
FILES = ("pytorch_model.bin",)
REVISION = "0123456789abcdef0123456789abcdef01234567"


def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(50, 40, generator=generator),
        "bias": torch.randn(50, generator=generator),
    }


def refusal(act: object, *args: object, **options: object) -> str:
    """Return the sentence of the WeightsError that ``act`` raises; it fits on one line."""
    with pytest.raises(WeightsError) as caught:
        act(*args, **options)  # type: ignore[operator]
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 4
    return text


@dataclass
class Hub:
    """A stand-in for the hub on this machine, which the real client talks to over HTTP."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    summary = Hub()

    class Handler(BaseHTTPRequestHandler):
        def reply(self, *, body: bool) -> None:
            summary.asked.append(self.path)
            content = summary.files.get(self.path.rsplit("/", 1)[-1])
            if self.path != "/" and summary.status == 200 and content is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("X-Repo-Commit", REVISION)
                content = b""
            else:
                self.send_response(200 if self.path == "/" else summary.status)
                for key, value in summary.headers.items():
                    self.send_header(key, value)
                self.send_header("X-Repo-Commit", REVISION)
                self.send_header("ETag", '"abc"')
            content = content or b""
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.reply(body=False)

        def do_GET(self) -> None:
            self.reply(body=True)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield summary
    server.shutdown()
    server.server_close()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


# --- local files ---------------------------------------------------------------------------------------------


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    """A file given by the user is used whatever its name."""
    path = tmp_path / "mine.pth"
    torch.save(state(), path)
    assert find_weights(CARD, FILES, path) == path


@pytest.mark.parametrize(
    "layout",
    [
        "pytorch_model.bin",
        "assets/ckpts/uni/pytorch_model.bin",
        "vit_large_patch16_224.dinov2.uni_mass100k/pytorch_model.bin",
        "models--MahmoodLab--UNI/snapshots/0123/pytorch_model.bin",
    ],
)
def test_a_folder_is_searched_for_the_published_name(tmp_path: Path, layout: str) -> None:
    """Every published layout is found below the folder given."""
    path = tmp_path / layout
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state(), path)
    assert find_weights(CARD, FILES, tmp_path) == path


def test_several_candidates_are_refused(tmp_path: Path) -> None:
    """A folder with two encoders' weights is refused, and the message names a file."""
    for name in ("uni", "uni2-h"):
        (tmp_path / name).mkdir()
        torch.save(state(), tmp_path / name / "pytorch_model.bin")
    text = refusal(find_weights, CARD, FILES, tmp_path)
    assert "found 2" in text
    assert str(tmp_path / "uni" / "pytorch_model.bin") in text


def test_missing_files_and_empty_folders_are_named(tmp_path: Path) -> None:
    """A wrong path and a folder without weights each get a sentence with the path."""
    assert "no such file" in refusal(find_weights, CARD, FILES, tmp_path / "nowhere.bin")
    assert "pytorch_model.bin" in refusal(find_weights, CARD, FILES, tmp_path)


# --- reading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".bin", ".pth", ".pt", ".ckpt", ".safetensors"])
def test_every_format_gives_the_same_tensors(tmp_path: Path, suffix: str) -> None:
    """PyTorch and safetensors files of the same state read alike."""
    path = tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state(), path)
    read = read_state(path, "uni")
    assert set(read) == set(state())
    assert all(torch.equal(read[key], value) for key, value in state().items())


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_training_wrappers_are_taken_off(tmp_path: Path, wrapper: str) -> None:
    """A state wrapped by a training script, with a prefix of parallel training, is the same state."""
    torch.save({wrapper: {f"module.{key}": value for key, value in state().items()}}, tmp_path / "w.pth")
    assert set(read_state(tmp_path / "w.pth", "uni")) == {"weight", "bias"}


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path, kind: str, share: float) -> None:
    """No prefix of a weights file is mistaken for weights, and none gives a foreign traceback."""
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.bin")
    if kind == "safetensors":
        save_file(state(), path)
    else:
        torch.save(state(), path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "cannot be read" in refusal(read_state, path, "uni")


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    """A file that would run a command when unpickled is refused and the command is not run."""
    witness = tmp_path / "witness"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (witness,))  # type: ignore[return-value]

    torch.save({"weight": Trap()}, tmp_path / "w.bin")
    assert "more than tensors" in refusal(read_state, tmp_path / "w.bin", "uni")
    assert not witness.exists()


def test_other_content_is_named(tmp_path: Path) -> None:
    """A foreign suffix, a pointer of Git LFS, a text file and numbers instead of tensors get their own sentence."""
    (tmp_path / "w.h5").write_bytes(b"x")
    assert ".safetensors" in refusal(read_state, tmp_path / "w.h5", "uni")
    (tmp_path / "p.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "git lfs pull" in refusal(read_state, tmp_path / "p.bin", "uni")
    (tmp_path / "t.bin").write_text("<html>Access denied</html>")
    assert "cannot be read" in refusal(read_state, tmp_path / "t.bin", "uni")
    torch.save({"epoch": 3}, tmp_path / "e.bin")
    assert "'epoch'" in refusal(read_state, tmp_path / "e.bin", "uni")
    torch.save([1, 2], tmp_path / "l.bin")
    assert "list" in refusal(read_state, tmp_path / "l.bin", "uni")


# --- loading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_loading_replaces_every_number(device: str) -> None:
    """After loading, the network computes with the file's values, wherever it was made."""
    with torch.device(device):
        network = torch.nn.Linear(40, 50)
    load_strictly(network, state(), name="uni", path=Path("w.bin"))
    pixels = torch.ones(1, 40)
    torch.testing.assert_close(network(pixels)[0], state()["weight"].sum(dim=1) + state()["bias"])


def test_half_precision_files_run_in_full_precision() -> None:
    """Weights published in 16 bits become float32 parameters."""
    network = torch.nn.Linear(40, 50)
    load_strictly(network, {key: value.half() for key, value in state().items()}, name="uni", path=Path("w"))
    assert {value.dtype for value in network.parameters()} == {torch.float32}


def test_each_disagreement_is_counted_and_named() -> None:
    """Missing, unexpected and misshapen tensors are refused, and one of each is named."""
    wrong = {"weight": torch.zeros(50, 41), "head.weight": torch.zeros(3)}
    network = torch.nn.Linear(40, 50)
    text = refusal(load_strictly, network, wrong, name="uni", path=Path("w.bin"))
    assert "1 tensors missing, e.g. 'bias'" in text
    assert "1 unexpected, e.g. 'head.weight'" in text
    assert "'weight' (50, 41) instead of (50, 40)" in text


def test_values_that_no_file_holds_are_missed() -> None:
    """A network made on the meta device with a buffer outside its state is refused, not run on nothing."""
    with torch.device("meta"):
        network = torch.nn.Linear(40, 50)
        network.register_buffer("table", torch.zeros(3), persistent=False)
    assert "'table'" in refusal(load_strictly, network, state(), name="uni", path=Path("w.bin"))


def test_the_hash_follows_the_content(tmp_path: Path) -> None:
    """Equal files have equal hashes; one changed byte changes it, also under the same name."""
    first, second = tmp_path / "a.bin", tmp_path / "b.bin"
    first.write_bytes(b"0" * 1000)
    second.write_bytes(b"0" * 1000)
    before = content_hash(first)
    assert content_hash(second) == before
    first.write_bytes(b"0" * 999 + b"1")
    assert content_hash(first) != before


# --- the hub ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("offline")
def test_offline_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the message comes within a second, names the page, and no request is made."""
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("called"))
    start = time.perf_counter()
    text = refusal(find_weights, CARD, FILES)
    assert time.perf_counter() - start < 1
    for words in ("'uni'", "https://huggingface.co/MahmoodLab/UNI", "ask for access", "`weights`", "texture"):
        assert words in text
    assert "ask for access" not in refusal(find_weights, FREE, FILES)


def test_an_unknown_host_is_reported_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hub that cannot be reached costs one request, not the client's retries of half a minute."""
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.perf_counter()
    assert "cannot be reached" in refusal(find_weights, CARD, FILES)
    assert time.perf_counter() - start < 2 * weights._TIMEOUT_S


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (401, {"X-Error-Code": "GatedRepo"}),
        (403, {"X-Error-Code": "GatedRepo"}),
        (401, {}),
        (403, {"X-Error-Message": "Your request is awaiting a review"}),
        (404, {"X-Error-Code": "RepoNotFound"}),
    ],
)
def test_gated_weights_tell_how_to_ask(hub: Hub, status: int, headers: dict[str, str]) -> None:
    """However the hub refuses a gated model, the user learns where to ask, how to log in, and of `weights`."""
    hub.status, hub.headers = status, headers
    text = refusal(find_weights, CARD, FILES)
    for words in ("gated", "https://huggingface.co/MahmoodLab/UNI", "hf auth login", "`weights`"):
        assert words in text


def test_a_vanished_repository_is_not_called_gated(hub: Hub) -> None:
    """A free model that the hub does not have is said not to be there."""
    hub.status, hub.headers = 404, {"X-Error-Code": "RepoNotFound"}
    text = refusal(find_weights, FREE, FILES)
    assert "has no pytorch_model.bin" in text
    assert "access" not in text


def test_a_failing_hub_is_reported_by_its_status(hub: Hub) -> None:
    """A refusal of another kind names its HTTP status."""
    hub.status = 418
    assert "418" in refusal(find_weights, FREE, FILES)


def test_a_download_is_kept_and_reused(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A downloaded file is used again without a request, also offline."""
    torch.save(state(), tmp_path / "w.bin")
    hub.files["pytorch_model.bin"] = (tmp_path / "w.bin").read_bytes()
    assert not is_cached(FREE)
    path = find_weights(FREE, FILES)
    assert set(read_state(path, "free")) == set(state())
    assert is_cached(FREE)
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_weights(FREE, FILES) == path
    assert hub.asked == []


def test_the_second_name_is_tried(hub: Hub, tmp_path: Path) -> None:
    """Where the preferred file is not published the next one is taken; where none is, that is said."""
    torch.save(state(), tmp_path / "w.bin")
    hub.files["pytorch_model.bin"] = (tmp_path / "w.bin").read_bytes()
    assert find_weights(FREE, ("model.safetensors", *FILES)).name == "pytorch_model.bin"
    assert "has no other.bin" in refusal(find_weights, FREE, ("other.bin",))
