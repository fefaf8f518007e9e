"""The whole way through the commands that a user types: drawings in, a picture that grows out over HTTP."""

import json
from pathlib import Path

from commands import grow, pixels, run, service

TINY = ["--resolution", "16", "--widths", "16", "16", "16", "--latent-size", "16", "--batch", "16"]
SEED = 7


def test_from_drawings_to_a_picture_that_grows(tmp_path: Path) -> None:
    photos, data, trained, model = (tmp_path / name for name in ("photos", "data", "run", "tiny-cats"))

    run("-m", "data_prep", "synthesize", photos, "--count", 40, "--size", 128)
    assert "40 photos found: 40 kept" in run(
        "-m", "data_prep", "prepare", photos, data, "--size", 16, "--align", "cat"
    )

    train = ("train.py", "--out", trained, "--snapshot-every", 0.16)
    run(*train, "--recipe", "msg-gan-cpu", "--data", data, "--kimg", 0.16, *TINY)
    run(*train, "--resume", "--kimg", 0.32)
    metrics = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["images"] == 320
    grids = sorted(path.relative_to(trained / "samples") for path in trained.glob("samples/*/*.png"))
    assert [str(path.parent) for path in grids[::3]] == ["0000000000", "0000000160", "0000000320"]
    assert [path.name for path in grids[:3]] == ["0004.png", "0008.png", "0016.png"]
    assert list(trained.glob("wandb/offline-run-*")), "W&B is to be kept offline by default"

    run("-m", "evaluation", trained, "--data", data, "--samples", 16)
    figures = json.loads((trained / "evaluation.json").read_text())
    distance = figures["sliced_wasserstein_distance"]
    assert distance["generated"]["mean"] > distance["real"]["mean"], "hardly trained, yet as good as real"

    run("-m", "training.export", trained, model)
    assert {path.name for path in model.iterdir()} >= {"model.safetensors", "config.json", "README.md"}
    assert json.loads((model / "config.json").read_text())["about"]["images"] == 320
    assert f"{distance['generated']['mean']:.4g}" in (model / "README.md").read_text()

    run("-m", "models.sample", model, "--seeds", f"{SEED}-{SEED + 1}", "--out", tmp_path / "pictures")
    sampled, other = ((tmp_path / "pictures" / f"{seed}.png").read_bytes() for seed in (SEED, SEED + 1))
    assert sampled != other

    with service(str(model), tmp_path / "bentoml") as client:
        assert [entry["name"] for entry in client.get("/models").json()["models"]] == ["tiny-cats"]
        images = grow(client, seed=SEED)
        whole = client.post("/generate", json={"seed": SEED})
    assert list(images) == [4, 8, 16]
    assert pixels(images[16]) == pixels(whole.content) == pixels(sampled)
