"""The experiments: what they measure in closed form, runs side by side, and going on where they were stopped."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch

from experiments.__main__ import parse
from experiments.experiment import Experiment, Result, Row, markdown, run, spread
from experiments.gaussians import VARIATIONS, Gaussians
from experiments.gaussians_systems import KNOWN_AS, stacked_gan
from experiments.mixtures import Mixture, grid, ring
from experiments.mutual_information import MutualInformation, correlated, truth
from experiments.point_autoencoders import DrawingPointGenerator, Observed, PointDRAW, PointVAE
from experiments.point_systems import (
    AutoencodingDiscriminator,
    CodedPointGenerator,
    LabelledPointDiscriminator,
    LabelledPointGenerator,
    RecurrentPointGenerator,
    TellingPointDiscriminator,
)
from experiments.points import (
    BatchDeviation,
    PointDiscriminator,
    PointGenerator,
    mlp,
    run_by_run,
)
from experiments.training_loop import train
from training.objectives import OBJECTIVES
from training.optim.spec import adam
from training.recipes import RECIPES
from training.system import System
from training.updaters.adversarial import adversarial_pair
from training.updaters.autoencoder import kl_to_prior

TINY = Gaussians(iterations=2, batch=4, runs=2, hidden=8, latent_size=4, code_size=2)


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("mixture", [ring(8, 0.05), grid(5, 0.03)])
def test_a_mixture_covers_itself_and_is_as_good_as_three_deviations(mixture: Mixture) -> None:
    modes, good = mixture.judge(mixture.sample(20_000, _rng()).flatten(1))
    assert modes == len(mixture.modes)
    assert good == pytest.approx(1 - math.exp(-4.5), abs=0.003)


def test_a_mode_is_covered_by_a_tenth_of_its_due_of_good_points() -> None:
    mixture = ring(4, 0.1)  # of 40 points each mode is due 10
    here, there = torch.tensor([mixture.modes[0], mixture.modes[1]])
    points = torch.cat([here.repeat(38, 1), there.repeat(1, 1), torch.full((1, 2), 9.0)])
    assert mixture.judge(points) == (2, pytest.approx(39 / 40))
    assert mixture.judge(points.repeat(2, 1)[1:-1]) == (2, pytest.approx(77 / 78))
    nearly = there + torch.tensor([0.0, 0.31])
    assert mixture.judge(torch.cat([here.repeat(39, 1), nearly[None]]))[0] == 1
    assert mixture.judge(torch.full((40, 2), math.nan)) == (0, 0)


def test_the_modes_are_where_they_are_said_to_be() -> None:
    assert torch.tensor(ring(8, 0.1).modes).norm(dim=1).tolist() == pytest.approx([1] * 8)
    assert set(grid(3, 0.1).modes) == {(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)}


@pytest.mark.parametrize("mixture", [ring(8, 0.07), grid(5, 0.04)])
def test_labels_are_the_modes_that_points_are_of(mixture: Mixture) -> None:
    points, labels = (draw(5000, _rng(3)) for draw in (mixture.sample, mixture.labels))
    assert labels.unique().tolist() == list(range(len(mixture.modes)))
    assert mixture.obeyed(points.flatten(1), labels) == mixture.judge(points.flatten(1))[1]
    assert mixture.obeyed(points.flatten(1), (labels + 1) % len(mixture.modes)) == 0


def _system(runs: int, objective: str, before_last: torch.nn.Module | None = None) -> System:
    torch.manual_seed(0)
    g, d = PointGenerator(runs, 8, 4), PointDiscriminator(runs, 8, before_last)
    spec_d, spec_g = (adam(each, 0.01, betas=(0.9, 0.999)) for each in (d, g))
    return System(adversarial_pair(d, g, spec_d, spec_g, run_by_run(OBJECTIVES[objective], runs)), g)


@pytest.mark.parametrize("objective", ["ra-hinge", "f-jeffrey"])
def test_runs_side_by_side_do_not_know_of_one_another(objective: str) -> None:
    """The first of two runs stays what it is, whatever the second one's generator is."""
    ends = []
    for factor in (1.0, 3.0):
        system = _system(2, objective, BatchDeviation())
        with torch.no_grad():
            for parameter in system.generator.parameters():
                parameter[1] *= factor
        train(system, ring(8, 0.1).sample, 1, iterations=5, batch=16, seed=0)
        ends.append([parameter.detach() for parameter in system.generator.parameters()])
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one[0], other[0])
        assert not torch.allclose(one[1], other[1])


@pytest.mark.parametrize(
    "name",
    [
        name for name, each in VARIATIONS.items() if each.together and name != "dragan"
    ],  # see gaussians_tricks.py
)
def test_runs_of_a_row_do_not_know_of_one_another(name: str) -> None:
    """The first of two runs stays what it is, whatever the second one's reals are."""
    ends = []
    for factor in (1.0, 3.0):
        torch.manual_seed(0)
        system = VARIATIONS[name].build(TINY)

        def reals(count: int, rng: torch.Generator, factor: float = factor) -> torch.Tensor:
            first, second = TINY.learned.sample(count, rng).chunk(2)
            return torch.cat([first, second * factor])

        train(system, reals, 1, 3, 16, seed=0, labels=TINY.learned.labels)
        ends.append(system.generator(system.generator.prior(32, _rng()))[-1].chunk(2))
    (one, changing), (same, changed) = ends
    assert torch.equal(one, same)
    assert not torch.allclose(changing, changed)


@pytest.mark.parametrize("name", ["began", "mine", "stacked-gan"])
def test_runs_one_after_another_differ(name: str) -> None:
    assert not VARIATIONS[name].together
    first, second = TINY.trained(VARIATIONS[name]).points
    assert not torch.allclose(first, second)


def test_a_run_among_others_gets_its_gradient_over_their_number() -> None:
    real, fake = torch.randn(2, 12, generator=_rng())
    fake.requires_grad_()
    for name in ("ra-hinge", "non-saturating", "f-kl"):
        objective = OBJECTIVES[name]
        together = torch.autograd.grad(run_by_run(objective, 3).d(real, fake), fake)[0]
        alone = torch.autograd.grad(objective.d(real[4:8], fake[4:8]), fake)[0]
        assert torch.allclose(together[4:8], alone[4:8] / 3)
        assert run_by_run(objective, 3).g(real, fake) != run_by_run(objective, 3).g(fake, real)


def test_the_generator_moves_towards_the_reals() -> None:
    system = _system(1, "least-squares")
    far = partial(lambda count, rng: torch.randn(count, 2, 1, 1, generator=rng) * 0.1 + 2)
    train(system, far, 1, iterations=150, batch=32, seed=0)
    assert (system.generator(system.generator.prior(64, _rng()))[-1].mean((0, 2, 3)) > 1).all()


@pytest.mark.parametrize("name", [*VARIATIONS, "real"])
def test_every_row_of_gaussians_is_measured(name: str) -> None:
    result = TINY.rows()[name].measure()
    assert len(result["modes"]) == len(result["good"]) == TINY.runs
    assert all(len(point) == 2 for point in result["points"])
    json.dumps(result, allow_nan=False)


def test_every_system_is_a_row() -> None:
    systems = {name for name in RECIPES if not name.endswith(("-cpu", "-64", "-faces"))}
    assert systems <= KNOWN_AS.keys() | VARIATIONS.keys()
    assert {row for rows in KNOWN_AS.values() for row in rows} <= VARIATIONS.keys()
    assert len(KNOWN_AS["f-gan"]) == 9
    assert "| f-gan | f-total-variation, f-kl, " in TINY.table({})


def test_a_label_asks_for_a_point_and_is_judged_with_it() -> None:
    g, d = LabelledPointGenerator(2, 8, 4, 3), LabelledPointDiscriminator(2, 8, 3)
    z = g.prior(6, _rng())
    labels = z[:, -3:].argmax(1)
    others = g.with_labels(z, (labels + 1) % 3)
    assert g.with_labels(z, labels).equal(z)
    assert not torch.isclose(g(z)[-1], g(others)[-1]).any()
    points = g(z)
    assert not torch.isclose(d(points, labels).logits, d(points, (labels + 1) % 3).logits).any()


def test_how_many_points_are_of_the_mode_asked_for() -> None:
    obeyed = TINY.rows()["ac-gan"].measure()["obeyed"]
    assert len(obeyed) == TINY.runs
    assert "obeyed" not in TINY.rows()["infogan"].measure()


@pytest.mark.parametrize("field", ["classes", "latents"])
def test_what_is_told_of_a_point_is_its_own_runs(field: str) -> None:
    d = TellingPointDiscriminator(2, 8, 3, field)  # type: ignore[arg-type]
    points = torch.randn(6, 2, 1, 1, generator=_rng())
    told = getattr(d([points]), field)
    assert told.shape == (6, 3)
    with torch.no_grad():
        d.tell.bias[1] += 1
    assert torch.allclose(
        getattr(d([points]), field) - told, torch.tensor([0.0, 1.0]).repeat_interleave(3)[:, None]
    )


def test_codes_end_the_latent_vector() -> None:
    g = CodedPointGenerator(1, 8, 4, 2, (5,))
    numbers, (choice,) = g.codes.split(g.prior(100, _rng())[:, -7:])
    assert numbers.abs().max() <= 1
    assert choice.sum(1).eq(1).all()
    assert choice.sum(0).gt(0).all()


def test_recurrent_generators_add_to_a_canvas_step_by_step() -> None:
    for g in (RecurrentPointGenerator(2, 8, 4, steps=3), DrawingPointGenerator(2, 8, 4, steps=5)):
        z = g.prior(6, _rng()).view(2, 3, -1)
        canvases = list(g.canvases(z))
        assert len(canvases) == g.steps
        assert torch.equal(g.points(z), canvases[-1])
        later = z.clone()
        later[:, :, -4:] *= -2  # the last step's
        assert torch.equal(list(g.canvases(later))[-2], canvases[-2])
        assert not torch.allclose(g.points(later), canvases[-1])


def _auto_encoders() -> tuple[PointVAE, PointDRAW]:
    return PointVAE(2, 8, 4), PointDRAW(DrawingPointGenerator(2, 8, 4, steps=3))


def test_observed_points_have_the_likelihoods_noise() -> None:
    for network in _auto_encoders():
        with torch.no_grad():
            network.log_deviation[1] = -9.0
        observed = Observed(network)
        z = observed.prior(2000, _rng())
        z[:, :-2] = z[:1, :-2]
        points = observed(z)[-1].flatten(1)
        (means,) = network.decoder(z[:, :-2])
        assert points[:1000].std(0).tolist() == pytest.approx([2 * math.exp(-2)] * 2, rel=0.1)
        assert torch.allclose(points[1000:], means[1000:].flatten(1), atol=0.01)


def test_auto_encoders_know_their_decoders_prior() -> None:
    """A network that is told nothing has the prior for its posterior, and its decoder paints the noise."""
    for network in _auto_encoders():
        posterior = network.encoder[-1] if isinstance(network, PointVAE) else network.posterior
        with torch.no_grad():
            for parameter in posterior.parameters():
                parameter.zero_()
        noise = network.decoder.prior(6, _rng())
        found = network(torch.randn(6, 2, 1, 1, generator=_rng()), noise)
        assert kl_to_prior(found.posterior).abs().max() == 0
        assert torch.allclose(found.likelihood.mean * 2 - 1, network.decoder(noise)[-1], atol=1e-5)


def test_an_auto_encoder_scores_a_point_by_its_error() -> None:
    d = AutoencodingDiscriminator(1, 8)
    points = torch.randn(5, 2, 1, 1, generator=_rng())
    with torch.no_grad():
        for parameter in d.decoder[-1].parameters():
            parameter.zero_()  # all points are made again as 0
    assert torch.allclose(d([points]).logits, -points.abs().mean((1, 2, 3)))


def test_units_normalise_features_or_weights() -> None:
    x = torch.randn(2, 400, 3, generator=_rng()) * 5 + 7
    torch.manual_seed(0)
    normed = mlp(2, 3, 8, 1, units="batch")[1](mlp(2, 3, 8, 1, units="batch")[0](x))
    assert normed.mean(1).abs().max() < 1e-3
    assert normed.std(1, correction=0).allclose(torch.ones(2, 8), atol=1e-3)
    spectral = mlp(2, 3, 8, 1, units="spectral")[0]
    for layer in spectral.layers:
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-3)
    deep = torch.randn(1, 2000, 64, generator=_rng())
    assert mlp(1, 64, 64, 64, units="selu")[:-1](deep).var().item() == pytest.approx(1, abs=0.25)


def test_the_levels_of_a_stack_are_joined_after_half() -> None:
    system = stacked_gan(TINY)
    shown = TINY.iterations * TINY.batch
    assert [updater.begin for updater in system.updaters] == [0] + [0.1 * shown] * 4  # type: ignore[attr-defined]
    assert system.updaters[0].end == 0.1 * shown  # type: ignore[attr-defined]
    assert system.updaters[-1].level.joint == 0.5 * shown  # type: ignore[attr-defined]
    g = system.generator
    z = g.prior(6, _rng())
    assert g.input_size == 4 + 8
    assert not torch.isclose(g(z)[-1], g(g.with_labels(z, (z[:, 4:].argmax(1) + 1) % 8))[-1]).any()


def test_the_truth_about_correlated_gaussians() -> None:
    assert truth(2, 0.9) == pytest.approx(1.6607, abs=1e-4)
    assert truth(20, 0) == 0
    x, y = correlated(3, -0.6, 100_000, _rng())
    assert (x * y).mean(0).tolist() == pytest.approx([-0.6] * 3, abs=0.02)
    assert y.var(0).tolist() == pytest.approx([1] * 3, abs=0.02)
    assert (x[:, 0] * y[:, 1]).mean().item() == pytest.approx(0, abs=0.02)


def test_information_is_told_from_none() -> None:
    small = MutualInformation(
        steps=150, batch=64, seeds=1, hidden=16, lr=0.01, dimensions=(1,), correlations=(0, 0.9)
    )
    none, much = (row.measure() for row in small.rows().values())
    assert (none["truth"], much["truth"]) == (0, pytest.approx(0.8304, abs=1e-4))
    assert abs(none["estimates"][0]) < 0.1
    assert much["estimates"][0] == pytest.approx(0.83, abs=0.25)


@dataclass(frozen=True)
class Squares(Experiment):
    """Measures squares, until told to stop."""

    power: int = 2

    def rows(self) -> Mapping[str, Row]:
        return {str(n): Row(1, partial(self._measure, n)) for n in range(3)}

    def _measure(self, n: int) -> Result:
        if n == 2 and _stopping:
            raise KeyboardInterrupt
        return {"value": n**self.power}

    def table(self, results: Mapping[str, Result]) -> str:
        return markdown(("n", "square"), [(name, str(result["value"])) for name, result in results.items()])

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        path.write_bytes(b"")


_stopping: list[bool] = []


def test_an_experiment_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    said: list[str] = []
    _stopping.append(True)
    with pytest.raises(KeyboardInterrupt):
        run(Squares(), tmp_path, said.append)
    assert not (tmp_path / "table.md").exists()
    (tmp_path / "0.json").write_text((tmp_path / "0.json").read_text().replace('"value": 0', '"value": 7'))
    _stopping.clear()
    table = run(Squares(), tmp_path, said.append)
    assert table == "| n | square |\n| --- | --- |\n| 0 | 7 |\n| 1 | 1 |\n| 2 | 4 |\n"
    assert (tmp_path / "table.md").read_text() == table
    assert [line.split(":")[0] for line in said] == ["0", "1", "2"]
    assert "1 of 1 steps" in said[-1]
    with pytest.raises(ValueError, match=r"0\.json was measured with .*--out"):
        run(Squares(power=3), tmp_path, said.append)


def test_table_and_figure_of_real_experiments(tmp_path: Path) -> None:
    found = {"modes": [8, 6], "good": [0.5, 0.7], "points": [[0, 0], [1, 1]]}
    assert "| wgan | 7.0 ± 1.4 | 0.60 ± 0.14 |" in TINY.table({"wgan": found})
    TINY.figure(dict.fromkeys(TINY.rows(), found), tmp_path / "points.png")
    information = MutualInformation()
    results = {name: {"truth": 1.0, "estimates": [0.9, 1.0]} for name in information.rows()}
    assert "| 20 | 0.9 | 1.00 | 0.95 ± 0.07 |" in information.table(results)
    information.figure(results, tmp_path / "information.png")
    assert all(
        (tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("points.png", "information.png")
    )


def test_a_single_run_has_no_spread() -> None:
    assert spread([2.0], 1) == "2.0 ± 0.0"
    assert spread([-0.001], 2) == "0.00 ± 0.00"


def test_the_command_line_names_an_experiment_and_its_sizes() -> None:
    experiment, out = parse(["gaussians", "--iterations", "7", "--mixture", "grid"])
    assert experiment == Gaussians(iterations=7, mixture="grid")
    assert out == Path("runs/experiments/gaussians")
    assert parse(["mine", "--out", "x"]) == (MutualInformation(), Path("x"))
    with pytest.raises(SystemExit):
        parse(["nonsense"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (partial(Gaussians, iterations=0), "iterations must be positive, not 0"),
        (partial(Gaussians, code_size=99), "code_size must be at most latent_size, 16, not 99"),
        (partial(MutualInformation, correlations=(0.5, 1.0)), "correlations must be between -1 and 1"),
        (partial(MutualInformation, dimensions=(0,)), "dimensions must be positive"),
    ],
)
def test_sizes_that_cannot_be_are_refused(make: Callable[[], Experiment], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
