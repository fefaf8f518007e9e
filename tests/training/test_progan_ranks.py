"""Two processes give ProGAN's discriminator the gradients of one, though groups of samples reach over both."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.progan import ProGANDiscriminator
from training.collective import average_gradients, use_global_batch
from training.terms.gradient import one_centered


def _gradients(part: slice, global_batch: bool = True) -> dict[str, Tensor]:
    """Gradients of WGAN-GP in mid-fade, for this rank's part of a batch of eight in groups of four."""
    torch.manual_seed(0)
    discriminator = ProGANDiscriminator(8, (8, 6))
    discriminator.grow(8, 0.5)
    if global_batch:
        use_global_batch(discriminator)
    reals, fakes, mix = torch.randn(8, 3, 8, 8)[part], torch.randn(8, 3, 8, 8)[part], torch.rand(8)[part]
    real, fake = discriminator([reals]).score, discriminator([fakes]).score
    penalty = one_centered(lambda images: discriminator(images).score, [reals], [fakes], mix)
    (fake.mean() - real.mean() + 10 * penalty).backward()  # type: ignore[no-untyped-call]
    average_gradients(discriminator.parameters())
    return {name: p.grad for name, p in discriminator.named_parameters() if p.grad is not None}


def _rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    part = slice(rank * 4, rank * 4 + 4)
    for name, global_batch in (("global", True), ("local", False)):
        save_file(_gradients(part, global_batch), folder / f"{name}-{rank}.safetensors")
    dist.destroy_process_group()


def test_two_ranks_give_the_gradients_of_one(tmp_path: Path) -> None:
    mp.spawn(_rank, (tmp_path,), nprocs=2)  # type: ignore[no-untyped-call]
    one = _gradients(slice(0, 8))
    found = {path.stem: load_file(path) for path in tmp_path.glob("*.safetensors")}
    for rank in (0, 1):
        assert found[f"global-{rank}"].keys() == one.keys()
        for name, value in one.items():
            torch.testing.assert_close(found[f"global-{rank}"][name], value, rtol=1e-4, atol=1e-5)
    local = found["local-0"]["conv.weight"]  # with groups within each rank
    assert not torch.allclose(local, one["conv.weight"], rtol=1e-2, atol=1e-3)
