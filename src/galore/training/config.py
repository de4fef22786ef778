"""The options of a training, typed and checked before any long work starts: what conf/train and conf/model hold."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from galore.errors import InputError
from galore.options import AtLeastTwo, Count, Decay, PositiveShare, Rate, Seed, Share, ShareBelowOne, Side
from galore.training import architectures


@dataclass(frozen=True)
class ModelConfig:
    """The network that is trained."""

    group: ClassVar[str] = "model"
    name: str = "small_cnn"
    layer: str | None = None  # where it is explained; None: the last one
    weights: str | None = None  # to start from, as `galore.load` takes them; None: random ones
    size: Side | None = None  # side of the input in pixels; None: as the network was published


@dataclass(frozen=True)
class FirstStage:
    """The training of the classifier alone that comes before the joint one; what is not here is as in `TrainConfig`."""

    epochs: Count = 60
    batch_size: Count = 64  # of all devices together
    decay: PositiveShare = 0.1
    decay_every: Count = 40  # epochs


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are those of conf/train/fast.yaml.

    Raises:
        InputError: values that do not fit together.
    """

    group: ClassVar[str] = "train"
    name: str = "fast"
    seed: Seed = 0
    first_stage: FirstStage | None = None  # None: there is one stage
    from_layer: str | None = None  # None: train everything; a layer: everything up to it stays frozen
    views: Count = 1  # random crops of each image, computed once, where layers are frozen
    frozen_statistics: bool = False
    batch_norm_groups: Count = 1  # parts of a batch that BatchNorm looks at one by one, as if each had a GPU of its own
    compute: Literal["float32", "bfloat16"] = "float32"  # of the steps; parameters and optimiser are float32 always
    optimiser: Literal["muon", "one_cycle", "authors"] = "muon"
    learning_rate: Rate = 0.02
    weight_decay: Decay = 0.01
    momentum: ShareBelowOne = 0.9
    decay: PositiveShare = 0.95  # what the learning rate is multiplied by ...
    decay_every: Count = 1  # ... after so many epochs
    predictor_learning_rate: Rate = 1e-5
    predictor_weight_decay: Decay = 1e-3
    label_smoothing: ShareBelowOne = 0.1
    epochs: Count = 12
    batch_size: Count = 32  # of all devices together
    keep_last_batch: bool = False  # whether the images that fill no batch make a smaller one, or wait for another epoch
    pixel_mean: tuple[float, ...] | None = None  # of the channels, for pixels in [0, 1]; None: as the weights expect
    pixel_std: tuple[float, ...] | None = None
    early_size: Side | None = 64  # smaller crops at first, side in pixels; None: one size throughout
    early_share: Share = 0.6  # of the epochs
    crop_scale: PositiveShare = 0.7  # the smallest share of the area that a random crop keeps
    crops_from: Literal["memory", "files"] = "memory"
    flip: bool = True
    validation: ShareBelowOne = 0.1  # share of the training images that is held out
    patience: Count | None = None  # evaluations without a better one that end the run
    evaluate_every: Count = 2  # epochs
    save_every: Count | None = 50  # steps; None: once an epoch
    hardness: Literal["none", "held_out", "cross_fit", "joint"] = "held_out"
    hardness_trunk: Literal["classifier", "own"] = "classifier"
    hardness_folds: AtLeastTwo = 4  # for cross_fit
    hardness_widths: tuple[Count, ...] = (64,)
    students: tuple[Literal["few_shot", "small_cnn", "alexnet"], ...] = ("few_shot", "small_cnn")
    shots: Count = 20  # images of each class that few_shot is trained on
    few_shot_epochs: Count = 30
    small_cnn_network: str = "small_cnn_narrow"
    small_cnn_epochs: Count = 4
    alexnet_network: str = "alexnet"
    alexnet_weights: str | None = "imagenet"  # to start from, as `galore.load` takes them; None: random ones
    alexnet_folder: str | None = None  # where runs share it, whatever network they train; None: in that of the run
    threads: Count = 2

    def __post_init__(self) -> None:
        if self.hardness == "held_out" and not self.validation:
            raise InputError("train.hardness=held_out needs held-out images: give train.validation=0.1, or cross_fit")
        if self.hardness_trunk == "own" and self.hardness != "joint":
            raise InputError("train.hardness_trunk=own is trained with the classifier: give train.hardness=joint")
        if self.hardness_trunk == "own" and not self.hardness_widths:
            raise InputError("train.hardness_widths=[]: expected at least one width with train.hardness_trunk=own")
        if self.first_stage is not None and self.hardness != "joint":
            raise InputError("train.first_stage comes before a joint training: give train.hardness=joint")
        for name in ("pixel_mean", "pixel_std"):
            if len(getattr(self, name) or (0, 0, 0)) != 3:
                raise InputError(f"train.{name}={list(getattr(self, name))}: expected red, green and blue")
        if self.patience is not None and not self.validation:
            raise InputError("train.patience needs held-out images: give train.validation=0.1")
        for network in (self.small_cnn_network, self.alexnet_network):
            architectures.module(network, 2)  # refuses an unknown name

    @property
    def idle(self) -> dict[str, str]:
        """The options that change nothing beside the values of the others, and which of those makes them so."""
        students = f"students=[{','.join(self.students)}]"
        is_sgd, is_joint = self.optimiser == "authors", self.hardness == "joint"
        rules = [
            (("views",), self.from_layer is None, "from_layer=null"),
            (("batch_norm_groups",), self.frozen_statistics, "frozen_statistics=true"),
            (("momentum", "decay", "decay_every"), not is_sgd, f"optimiser={self.optimiser}"),
            (("predictor_learning_rate", "predictor_weight_decay"), not is_sgd, f"optimiser={self.optimiser}"),
            (("predictor_learning_rate", "predictor_weight_decay"), not is_joint, f"hardness={self.hardness}"),
            (("early_share",), self.early_size is None, "early_size=null"),
            (("patience", "evaluate_every"), not self.validation, "validation=0"),
            (("hardness_trunk",), not is_joint, f"hardness={self.hardness}"),
            (("hardness_folds",), self.hardness != "cross_fit", f"hardness={self.hardness}"),
            (("hardness_widths",), self.hardness == "none", "hardness=none"),
            (("shots", "few_shot_epochs"), "few_shot" not in self.students, students),
            (("small_cnn_epochs",), "small_cnn" not in self.students, students),
            (("small_cnn_network",), not {"few_shot", "small_cnn"} & set(self.students), students),
            (("alexnet_network", "alexnet_weights", "alexnet_folder"), "alexnet" not in self.students, students),
        ]
        return {name: reason for names, is_idle, reason in rules if is_idle for name in names}

    @property
    def of_classifier_alone(self) -> "TrainConfig":
        """How the classifier is trained without its predictor: as the first stage says, where there is one."""
        stage = {} if self.first_stage is None else dataclasses.asdict(self.first_stage)
        return dataclasses.replace(self, first_stage=None, hardness="none", hardness_trunk="classifier", **stage)
