"""One seed is one picture; truncation draws pictures together."""

import pytest
import torch

from models.architectures.msg_gan import MSGGenerator
from models.architectures.progan import ProGANGenerator
from models.sampler import Sampler, check_label


def _sampler() -> Sampler:
    torch.manual_seed(0)
    generator = MSGGenerator(16, (16, 16, 8), latent_size=8)
    generator.refresh_statistics()
    return Sampler(generator)


def test_a_picture_does_not_depend_on_its_company() -> None:
    sampler = _sampler()
    together = sampler.generate([5, 7, 11])
    for place, seed in enumerate([5, 7, 11]):
        assert torch.equal(sampler.generate([seed])[0], together[place])


def test_the_stream_ends_with_the_generated_picture() -> None:
    sampler = _sampler()
    stages = list(sampler.stream([3, 4], truncation=0.7))
    assert [stage.shape[-1] for stage in stages] == [4, 8, 16]
    for stage in stages:
        assert torch.equal(stage, sampler.generate([3, 4], stage.shape[-1], truncation=0.7))


def test_truncation_draws_pictures_towards_one() -> None:
    sampler = _sampler()
    spreads = [
        sampler.generate(range(32), truncation=truncation).float().std(0).mean()
        for truncation in (1.0, 0.7, 0.3, 0.0)
    ]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] > 1.05 * spreads[1]
    assert spreads[-1] == 0


def test_the_center_is_the_mean_of_the_first_features() -> None:
    torch.manual_seed(0)
    generator = MSGGenerator(8, (16, 16), latent_size=8)
    generator.refresh_statistics()
    with torch.no_grad():
        z = generator.prior(4096, torch.Generator().manual_seed(1))
        features = generator._root(z)
    error = (features.mean(0) - generator.center).abs()
    assert error.max() < 6 * features.std(0).max() / 4096**0.5
    assert generator.center.abs().max() > 0.1


def test_inference_does_not_leak_into_the_caller() -> None:
    stream = _sampler().stream([1])
    next(stream)
    assert not torch.is_inference_mode_enabled()


def test_a_label_is_the_seeds_own_or_the_one_asked_for() -> None:
    torch.manual_seed(0)
    names = ("cat", "dog", "fox")
    sampler = Sampler(ProGANGenerator(8, (8, 8), latent_size=8, class_names=names))
    assert {sampler.label(seed) for seed in range(20)} == set(names)
    for seed in range(5):
        pictures = {name: sampler.generate([seed], label=name) for name in names}
        own = sampler.label(seed)
        for name, picture in pictures.items():
            assert torch.equal(picture, sampler.generate([seed])) == (name == own)
            assert torch.equal(picture, list(sampler.stream([seed], label=name))[-1])
    assert _sampler().label(0) is None


def test_a_label_that_is_not_there_is_refused() -> None:
    many = [f"kind {number}" for number in range(30)]
    with pytest.raises(ValueError, match=r"no label 'cat'; the model has kind 0, .*, kind 19 and 10 more$"):
        check_label(many, "cat")
    with pytest.raises(ValueError, match="there is no label 'cat': the model takes none"):
        _sampler().generate([0], label="cat")
