"""The options of a training, typed and checked before any long work starts: what conf/train and conf/model hold."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

from galore.errors import InputError, closest
from galore.training import architectures


class Range(NamedTuple):
    """The values that an option may have, in words and as a predicate."""

    expected: str
    contains: Callable[[Any], bool]


Count = Annotated[int, Range("a whole number of at least 1", lambda n: n >= 1)]
Seed = Annotated[int, Range("a whole number of at least 0", lambda n: n >= 0)]
Folds = Annotated[int, Range("a whole number of at least 2", lambda n: n >= 2)]
Rate = Annotated[float, Range("a number above 0, such as 0.001", lambda x: 0 < x < math.inf)]
Decay = Annotated[float, Range("a number of at least 0", lambda x: 0 <= x < math.inf)]
Share = Annotated[float, Range("a number from 0 to 1", lambda x: 0 <= x <= 1)]
PositiveShare = Annotated[float, Range("a number above 0, up to 1", lambda x: 0 < x <= 1)]
ShareBelowOne = Annotated[float, Range("a number from 0 to below 1", lambda x: 0 <= x < 1)]

_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class ModelConfig:
    """The network that is trained."""

    group: ClassVar[str] = "model"
    name: str = "small_cnn"
    layer: str | None = None  # where it is explained; None: the last one
    weights: str | None = None  # to start from, as `galore.load` takes them; None: random ones
    size: Count | None = None  # side of the input in pixels; None: as the network was published


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are those of conf/train/fast.yaml.

    Raises:
        InputError: values that do not fit together.
    """

    group: ClassVar[str] = "train"
    name: str = "fast"
    seed: Seed = 0
    from_layer: str | None = None  # None: train everything; a layer: everything up to it stays frozen
    views: Count = 1  # random crops of each image, computed once, where layers are frozen
    frozen_statistics: bool = False
    optimiser: Literal["muon", "one_cycle", "authors"] = "muon"
    learning_rate: Rate = 0.02
    weight_decay: Decay = 0.01
    label_smoothing: ShareBelowOne = 0.1
    epochs: Count = 12
    batch_size: Count = 32  # of all devices together
    early_size: Count | None = 64  # smaller crops at first, side in pixels; None: one size throughout
    early_share: Share = 0.6  # of the epochs
    crop_scale: PositiveShare = 0.7  # the smallest share of the area that a random crop keeps
    crops_from: Literal["memory", "files"] = "memory"
    flip: bool = True
    validation: ShareBelowOne = 0.1  # share of the training images that is held out
    patience: Count | None = None  # evaluations without a better one that end the run
    evaluate_every: Count = 2  # epochs
    save_every: Count = 50  # steps
    hardness: Literal["none", "held_out", "cross_fit", "joint"] = "held_out"
    hardness_trunk: Literal["classifier", "own"] = "classifier"
    hardness_folds: Folds = 4  # for cross_fit
    hardness_widths: tuple[Count, ...] = (64,)
    students: tuple[Literal["few_shot", "small_cnn"], ...] = ("few_shot", "small_cnn")
    shots: Count = 20  # images of each class that few_shot is trained on
    few_shot_epochs: Count = 30
    small_cnn_network: str = "small_cnn_narrow"
    small_cnn_epochs: Count = 4
    threads: Count = 2

    def __post_init__(self) -> None:
        if self.hardness == "held_out" and not self.validation:
            raise InputError("train.hardness=held_out needs held-out images: give train.validation=0.1, or cross_fit")
        if self.hardness_trunk == "own" and self.hardness != "joint":
            raise InputError("train.hardness_trunk=own is trained with the classifier: give train.hardness=joint")
        if self.hardness_trunk == "own" and not self.hardness_widths:
            raise InputError("train.hardness_widths=[]: expected at least one width with train.hardness_trunk=own")
        if self.patience is not None and not self.validation:
            raise InputError("train.patience needs held-out images: give train.validation=0.1")
        architectures.module(self.small_cnn_network, 2)  # refuses an unknown name


Config = TypeVar("Config", TrainConfig, ModelConfig)


def from_mapping(config: type[Config], options: Mapping[str, Any]) -> Config:
    """A config from plain options, such as those of a YAML file; those that are missing have their defaults.

    Raises:
        InputError: an unknown option, a wrong type or a wrong value; names the option and what was expected.
    """
    names = [field.name for field in dataclasses.fields(config)]
    for name in options:
        if name not in names:
            hint = closest(str(name), names) or f"expected some of {', '.join(names)}"
            raise InputError(f"unknown option {config.group}.{name}: {hint}")
    kinds = typing.get_type_hints(config, include_extras=True)
    return config(**{name: _parsed(f"{config.group}.{name}=", value, kinds[name]) for name, value in options.items()})


def _parsed(lead: str, value: Any, kind: Any, alternative: str = "") -> Any:
    """A value as its type has it.

    Args:
        lead: of the message, up to the value.
        value: as it was given.
        kind: the type.
        alternative: what may be given instead, for the message.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _parsed(lead, value, arguments[0], " or null")
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_parsed(lead.replace("=", " has "), item, arguments[0]) for item in value)
    limit = Range("", lambda value: True)
    if origin is Annotated:
        kind, limit = arguments
    if origin is Literal:
        limit = Range(f"one of {', '.join(arguments)}", lambda value: value in arguments)
        kind = str
    is_right = type(value) in ((int, float) if kind is float else (kind,)) and limit.contains(value)
    if not is_right:
        expected = limit.expected or _EXPECTED.get(kind, "a list")
        raise InputError(f"{lead}{value!r}: expected {expected}{alternative}")
    return kind(value)
