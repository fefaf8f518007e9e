"""Command line: python -m experiments NAME --help."""

import argparse
import sys
from pathlib import Path

import torch
import tyro

from common.command import exit_status
from experiments.cats import CatExperiment
from experiments.digits import DigitShares
from experiments.digits_bound import DigitsBound
from experiments.digits_codes import DigitCodes
from experiments.digits_stacked import StackedDigits
from experiments.equilibrium import EquilibriumOfErrors
from experiments.experiment import Experiment, run
from experiments.gaussians import Gaussians
from experiments.mutual_information import MutualInformation

EXPERIMENTS: dict[str, type[Experiment]] = {
    "cats": CatExperiment,
    "digits": DigitShares,
    "digit-codes": DigitCodes,
    "began": EquilibriumOfErrors,
    "draw": DigitsBound,
    "gaussians": Gaussians,
    "mine": MutualInformation,
    "stacked-digits": StackedDigits,
}


def parse(arguments: list[str]) -> tuple[Experiment, Path]:
    """The experiment that is named, its sizes as the other arguments say, and the folder for its results."""
    parser = argparse.ArgumentParser(prog="python -m experiments", add_help=False, allow_abbrev=False)
    parser.add_argument("name", choices=sorted(EXPERIMENTS))
    parser.add_argument("--out", type=Path, help="folder for results, runs/experiments/NAME without it")
    own, sizes = parser.parse_known_args(arguments)
    if not {"-h", "--help"}.isdisjoint(sizes):
        print(parser.format_help(), flush=True)
    experiment = tyro.cli(EXPERIMENTS[own.name], args=sizes, prog=f"{parser.prog} {own.name}")
    return experiment, own.out or Path("runs", "experiments", own.name)


def main() -> int:
    """Run the command line and return its exit status."""
    torch.set_num_threads(1)  # what is this small only waits for other threads
    return exit_status(
        lambda: print(run(*parse(sys.argv[1:]))), "stopped; the same command goes on from here"
    )


if __name__ == "__main__":
    sys.exit(main())
