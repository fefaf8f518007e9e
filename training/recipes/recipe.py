"""What every recipe contains."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

from common.aspect import SQUARE, Aspect
from training.growth import Growth, steady
from training.monitoring.options import MonitoringOptions
from training.system import System

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class DataFormat:
    """Properties of a data set's images that networks depend on."""

    channels: int  # 1 grey, 3 RGB, 4 RGBA
    class_names: tuple[str, ...] = ()  # name of each label; empty for data without labels
    aspect: Aspect = SQUARE  # height and width of the image at resolution 4


@dataclass(frozen=True)
class ComputeOptions:
    """How a run is computed."""

    precision: Precision = "fp32"  # of matrix products and convolutions; weights stay fp32
    channels_last: bool = False  # memory layout of networks and images; faster on most CPUs and GPUs
    micro_batch: int = 0  # samples that a process computes at once, at most; 0 for as many as fit into memory

    def __post_init__(self) -> None:
        check_not_negative(self, "micro_batch")


@dataclass(frozen=True)
class Recipe(ABC):
    """Everything that determines a run besides its data. Checked when made; a ValueError names the option."""

    needs_labels: ClassVar[bool] = False  # whether it can only be trained on data with labels

    resolution: int  # shorter side of the largest image, pixels
    kimg: float  # length of the run, thousands of real images shown
    batch: int  # real images per step, over all ranks
    seed: int = 0  # of weights, data order, noise
    flip: bool = True  # mirror real images left to right with probability 1/2
    ema_half_life: float = 10.0  # of the generator's moving average, thousands of images
    compute: ComputeOptions = field(default_factory=ComputeOptions)
    monitoring: MonitoringOptions = field(default_factory=MonitoringOptions)

    def __post_init__(self) -> None:
        check_positive(self, "kimg", "batch", "ema_half_life")
        check_not_negative(self, "seed")

    @abstractmethod
    def build(self, data: DataFormat) -> System:
        """Build the networks and their updaters for such data, weights from torch's RNG."""

    def growth_schedule(self) -> Growth:
        """The resolution and batch at each point of the run."""
        return steady(self.resolution, self.batch)


R = TypeVar("R", bound=Recipe)


def check_positive(options: object, *names: str) -> None:
    """Raise ValueError unless these fields are positive, including each value of a tuple."""
    for name in names:
        if not all(value > 0 for value in _values(options, name)):
            raise ValueError(f"{name} must be positive, not {getattr(options, name)}")


def check_not_negative(options: object, *names: str) -> None:
    """Raise ValueError unless these fields are 0 or positive, including each value of a tuple."""
    for name in names:
        if not all(value >= 0 for value in _values(options, name)):
            raise ValueError(f"{name} must not be negative, not {getattr(options, name)}")


def _values(options: object, name: str) -> tuple[float, ...]:
    value = getattr(options, name)
    return value if isinstance(value, tuple) else (value,)


def flat_settings(options: Any) -> dict[str, Any]:
    """Every setting by its name on the command line (with underscores): those of nested options are not nested."""
    settings: dict[str, Any] = {}
    for each in fields(options):
        value = getattr(options, each.name)
        if is_dataclass(value):
            settings |= flat_settings(value)
        else:
            settings[each.name] = value
    return settings


def with_settings(recipe: R, **settings: Any) -> R:
    """The recipe with these settings, named as on the command line (with underscores), whichever options hold them.

    Raises:
        ValueError: there is no such setting, or its value does not fit.
    """
    changed: dict[str, Any] = {}
    for each in fields(recipe):
        value = getattr(recipe, each.name)
        if is_dataclass(value):
            own = {
                name: settings.pop(name) for name in [held.name for held in fields(value)] if name in settings
            }
            if own:
                changed[each.name] = replace(value, **own)  # type: ignore[type-var]
        elif each.name in settings:
            changed[each.name] = settings.pop(each.name)
    if settings:
        raise ValueError(f"{type(recipe).__name__} has no setting {', '.join(settings)}")
    return replace(recipe, **changed)


def may_change(name: str) -> bool:
    """Whether a setting may differ when a run is resumed: it does not change what was computed before."""
    monitored = {each.name for each in fields(MonitoringOptions)}
    return name in {"kimg", "micro_batch", *monitored}
