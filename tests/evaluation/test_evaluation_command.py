"""`python -m evaluation`: a model and a training run on disk, and invalid arguments."""

import json
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from evaluation.__main__ import main
from models.architectures.msg_gan import MSGGenerator
from models.checkpoint import save_generator
from tests.evaluation.pattern_images import pattern_images
from tests.prepared import write_dataset

ROOT = Path(__file__).resolve().parents[2]


def save_model(folder: Path, resolution: int = 16, images: int = 7000) -> Path:
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    widths = (4,) * (resolution.bit_length() - 2)
    save_generator(MSGGenerator(resolution, widths, 8), folder, {"recipe": "tiny", "images": images})
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "patterns", pattern_images(60, 0, 16))


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluation", *map(str, arguments)])
    try:
        return main()
    except SystemExit as stop:  # tyro's own refusals
        return int(stop.code or 0)


def test_a_model(tmp_path: Path, data: Path, network_file: Callable[..., Path]) -> None:
    model = save_model(tmp_path / "model")
    command = [sys.executable, "-m", "evaluation", str(model), "--data", str(data)]
    command += ["--samples", "24", "--features", str(network_file())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "24 generated images against 24 real ones at 16x16" in done.stdout
    assert "Frechet distance" in done.stdout
    assert done.stdout.splitlines()[-1] == f"written to {model / 'evaluation.json'}"
    result = json.loads((model / "evaluation.json").read_text())
    described = result["protocol"]["model"]
    assert described["about"] == {"recipe": "tiny", "images": 7000}
    assert described["architecture"] == "msg-gan"
    assert described["weights_sha256"] == sha256((model / "model.safetensors").read_bytes()).hexdigest()
    assert result["frechet_distance"]["feature_network"]["file"] == "tiny.onnx"
    assert str(tmp_path) not in json.dumps(result), "no machine's paths"


def test_a_runs_newest_checkpoint(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    save_model(run / "checkpoints" / "0000001000" / "model", images=1000)
    save_model(run / "checkpoints" / "0000002000" / "model", images=2000)
    assert call(monkeypatch, run, "--data", data, "--samples", 16, "--out", tmp_path / "it.json") == 0
    result = json.loads((tmp_path / "it.json").read_text())
    assert result["protocol"]["model"]["about"]["images"] == 2000
    assert call(monkeypatch, run, "--data", data, "--samples", 16) == 0
    assert json.loads((run / "evaluation.json").read_text()) == result


@pytest.mark.parametrize("baseline", ["mean-image", "gaussian-pixel"])
def test_a_baseline(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, baseline: str) -> None:
    out = tmp_path / "it.json"
    assert call(monkeypatch, "--baseline", baseline, "--data", data, "--samples", 16, "--out", out) == 0
    result = json.loads(out.read_text())
    assert result["protocol"]["model"]["baseline"] == baseline
    assert result["ms_ssim"]["generated"]["mean"] != result["ms_ssim"]["real"]["mean"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "DATA"), "name either a MODEL (or a training run) or a --baseline"),
        (
            ("MODEL", "--baseline", "mean-image", "--data", "DATA"),
            "name either a MODEL (or a training run) or",
        ),
        (("--baseline", "mean-image", "--data", "DATA"), "name a file to write with --out"),
        (("--baseline", "mean-image", "--data", "nothing", "--out", "it.json"), "there is no data set at"),
        (("nothing", "--data", "DATA"), "is neither a model (no config.json) nor a training run"),
        (("MODEL", "--data", "nothing"), "there is no data set at"),
        (("MODEL", "--data", "MODEL"), "is not a prepared data set"),
        (("MODEL32", "--data", "DATA"), "prepare the data with --size 32"),
        (("MODEL", "--data", "DATA", "--samples", "3"), "--samples must be from 16 to"),
        (("MODEL", "--data", "DATA", "--seed", "-1"), "--seed must be from 0 to"),
        (("MODEL", "--data", "DATA", "--features", "TEXT"), "is not a network in ONNX format"),
        (("MODEL", "--data", "DATA", "--features", "nothing"), "there is no feature network"),
        (("MODEL", "--data", "DATA", "--features", "OTHER"), "it takes `x` and returns"),
        (("MODEL", "--data", "DATA", "--features", "FIXED"), "tiny.onnx fails on images of 16x16"),
        (("MODEL", "--data", "DATA", "--out", "nothing/it.json"), "cannot be written"),
        (("MODEL", "--data", "DATA", "--out", "MODEL"), "cannot be written"),
    ],
)
def test_refused_in_one_line(
    tmp_path: Path,
    data: Path,
    network_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    names = {
        "DATA": data,
        "MODEL": save_model(tmp_path / "model"),
        "MODEL32": save_model(tmp_path / "model32", 32),
        "TEXT": text,
        "nothing": tmp_path / "nothing",
        "nothing/it.json": tmp_path / "nothing" / "it.json",
    }
    if "OTHER" in arguments:
        names["OTHER"] = network_file(source="x")
    if "FIXED" in arguments:
        names["FIXED"] = network_file(side=64)
    before = sorted(tmp_path.rglob("*"))
    assert call(monkeypatch, *(names.get(argument, argument) for argument in arguments)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert sorted(tmp_path.rglob("*")) == before, "nothing written"


def test_a_damaged_model(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_model(tmp_path / "model")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert call(monkeypatch, model, "--data", data) == 2
    assert "model.safetensors cannot be read" in capsys.readouterr().err
    assert not (model / "evaluation.json").exists()


def test_an_unknown_option(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "model", "--data", data, "--smaples", 16) == 2
