"""The cat experiment, on what is drawn: trainings that are measured on the way."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from experiments.cats import CatExperiment
from experiments.experiment import run
from tests.evaluation.pattern_images import pattern_images
from tests.prepared import write_dataset


@pytest.mark.timeout(300)
def test_systems_are_trained_measured_and_drawn(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", pattern_images(40, 0, 16))
    experiment = CatExperiment(
        data,
        recipes=("lsgan-cpu",),
        kimg=1,
        points=2,
        pictures=16,
        widths=(8, 8),
        runs=tmp_path / "runs",
    )
    table = run(experiment, tmp_path / "out").splitlines()
    assert [line.split(" | ")[0] for line in table] == [
        "| system",
        "| ---",
        "| lsgan-cpu",
        "| other real pictures",
    ]
    found = experiment.learn("lsgan-cpu")  # a run that is over is only read
    assert found["images"] == [512, 1024]
    assert len(found["distance"]) == len(found["diversity"]) == 2
    assert 0 < found["floor"] < min(found["distance"])
    assert f"| {found['distance'][-1]:.0f} |" in table[2]
    with Image.open(tmp_path / "out" / "figure.png") as figure:
        assert figure.width == 1100
    with pytest.raises(ValueError, match="kimg must be positive"):
        replace(experiment, kimg=0)
