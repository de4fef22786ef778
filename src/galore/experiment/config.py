"""The options of an experiment, typed and checked, and which of them it uses: conf/ and the command line."""

import functools
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import hydra
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from galore import foreign, options
from galore.errors import InputError, closest
from galore.evaluation.methods import AttributionSetting, Score, default_score
from galore.options import AtLeastTwo, Count, Seed, Side
from galore.training.config import ModelConfig

ROOT = Path(__file__).resolve().parents[3]
"""The project's folder: relative paths among the options start here, wherever a program runs."""
CONF = ROOT / "conf"

COMMON = ("dataset", "model", "seed", "train.seed", "experiment", "ground_truth")
"""What every experiment uses; the seed of the training is part of the checkpoint's name."""
OF_THE_PROGRAM = ("tracker",)
"""What every program takes and no number depends on."""


def path(name: str | Path) -> Path:
    """A path of the options."""
    return ROOT / name


@dataclass(frozen=True)
class DatasetConfig:
    """Which images: `kind` says how `root` is read, and invented images are drawn on first use.

    `classes` selects some of real data, by name or number, None for all that are there; invented data have so many
    classes, of `per_class` images with a side of `size` pixels, drawn by the seed.
    """

    group: ClassVar[str] = "dataset"
    name: str
    kind: Literal["cub", "ade20k", "synthetic_birds", "synthetic_scenes"]
    root: str
    classes: Any = None
    per_class: Count | None = None
    size: Side | None = None
    seed: Seed | None = None

    def __post_init__(self) -> None:
        if self.is_invented:
            for name, kind in (("classes", Count), ("per_class", Count), ("size", Side), ("seed", Seed)):
                options.parsed(f"dataset.{name}=", getattr(self, name), kind)
        elif self.classes is not None:
            if not isinstance(self.classes, list | tuple):
                raise InputError(f"dataset.classes={self.classes!r}: expected a list of names or numbers, or null")
            object.__setattr__(self, "classes", tuple(self.classes))

    @property
    def is_invented(self) -> bool:
        """Whether the images are drawn, so that nobody else owns them."""
        return self.kind.startswith("synthetic_")

    @property
    def has_parts(self) -> bool:
        """Whether the images have annotated parts; scenes have masks of objects."""
        return self.kind in ("cub", "synthetic_birds")


@dataclass(frozen=True)
class GroundTruthConfig:
    """What explanations of birds are judged against; conf/ground_truth/default.yaml says what each means."""

    group: ClassVar[str] = "ground_truth"
    discriminant: Literal["scout", "neurips"] = "scout"
    shared: Literal["scout", "neurips"] = "neurips"
    divergence: Literal["code", "text"] = "code"


@dataclass(frozen=True)
class ExplanationConfig:
    """How explanations are evaluated; conf/explanation/default.yaml says what each means."""

    group: ClassVar[str] = "explanation"
    top: AtLeastTwo = 5
    keep: AtLeastTwo = 3
    difficult: Count = 100
    edited_images: Count = 200
    path_images: Count = 200
    counter_images: Literal["drawn", "first"] = "drawn"
    batch_size: Count = 16
    layers: tuple[str, ...] | None = None
    checkpoints: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Config:
    """All options of an experiment, as values.

    Attributes:
        checkpoint: the training run of the network.
        score: the confidence score; None: the papers' choice, see `score_with`.
    """

    dataset: DatasetConfig
    model: ModelConfig
    checkpoint: str
    attribution: AttributionSetting
    score: Score | None
    explanation: ExplanationConfig
    ground_truth: GroundTruthConfig
    seed: int

    def score_with(self, predictor: Any) -> Score:
        """The confidence score, or the papers' choice: easiness where there is a predictor."""
        return self.score or default_score(predictor)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """The training runs to compare, by default the one of the model."""
        return self.explanation.checkpoints or (self.checkpoint,)


def typed(cfg: Any) -> Config:
    """The options that Hydra composed.

    Raises:
        InputError: an unknown option, a wrong type or a wrong value.
    """
    given = plain(cfg)
    model = dict(given["model"])
    checkpoint = options.parsed("model.checkpoint=", model.pop("checkpoint"), str)
    return Config(
        dataset=dataset(cfg),
        model=options.from_mapping(ModelConfig, model),
        checkpoint=checkpoint,
        attribution=_attribution(given["attribution"]),
        score=_score(given["confidence"]["score"]),
        explanation=options.from_mapping(ExplanationConfig, given["explanation"]),
        ground_truth=options.from_mapping(GroundTruthConfig, given["ground_truth"]),
        seed=options.parsed("seed=", given["seed"], Seed),
    )


def read_options(file: Path) -> dict[str, Any]:
    """Options that a run wrote down, as they were composed: what follows from others still says so.

    Raises:
        InputError: no file, a damaged one, or one that holds something else.
    """
    expected = "the options of a run"
    if not isinstance(foreign.yaml_file(file, expected), dict):
        raise InputError(f"{foreign.text(file)} holds no options by name, expected {expected}")
    with foreign.understood(file, expected):
        return plain(OmegaConf.load(file), resolve=False)


def plain(cfg: Any, *, resolve: bool = True) -> dict[str, Any]:
    """The options as plain data.

    Raises:
        InputError: one refers to another that does not exist, or has no value.
    """
    try:
        return OmegaConf.to_container(cfg, resolve=resolve)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise InputError(f"option {error.full_key}: {str(error).partition(chr(10))[0]}") from error


def dataset(cfg: Any) -> DatasetConfig:
    """Which images the options mean.

    Raises:
        InputError: as `typed`.
    """
    return options.from_mapping(DatasetConfig, plain(cfg.dataset))


def compose(overrides: Sequence[str], config: str = "config") -> Any:
    """The options as Hydra composes them from conf/.

    Raises:
        InputError: what Hydra can make no options of, and says with an ordinary `ValueError`.
    """
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            return hydra.compose(config, overrides=list(overrides))
        except ValueError as error:
            raise InputError(f"options {' '.join(overrides)}: {error}") from error


def check_names(
    arguments: Sequence[str], config: str = "config", own: Sequence[str] = (), used: Sequence[str] = ()
) -> None:
    """Looks at `name=value` arguments as Hydra takes them; flags and what begins with hydra, + or ~ is Hydra's own.

    Args:
        arguments: of the command line.
        config: the name of the file in conf/ that they change.
        own: names of options that the program takes beside those.
        used: the options that the program uses, which are offered first in place of an unknown one; empty: all.

    Raises:
        InputError: no such option, or no such choice of a group; names the closest ones.
    """
    groups = _groups()
    known = None
    for name, value in _overrides(arguments):
        if name in groups:
            for choice in value.strip("[]").split(","):
                if choice.strip("'\" ") not in (*groups[name], "null"):
                    hint = closest(choice, groups[name]) or f"there are {', '.join(groups[name])}"
                    raise InputError(f"{name}={choice}: no such choice; {hint}")
            continue
        chosen = [given for given in arguments if given.partition("=")[0] in groups and "," not in given]
        known = known or list(dict.fromkeys([*own, *groups, *_option_names(tuple(chosen), config)]))
        if name not in known:
            offered = [one for one in known if any(_is_part(one, some) for some in (*COMMON, *used))] if used else known
            hint = _meant(name, offered) or _meant(name, known) or f"see {CONF.name}/"
            raise InputError(f"unknown option {name!r}; {hint}")


def check_used(arguments: Sequence[str], used: Sequence[str], program: str) -> None:
    """Refuses options that would change nothing.

    Args:
        arguments: of the command line.
        used: the options that the program uses besides `COMMON`: "attribution", "explanation.top".
        program: its name, for the message.

    Raises:
        InputError: names the option and those that are used.
    """
    for name, _ in _overrides(arguments):
        is_group = any(_is_part(one, name) for one in used)
        if not is_group and not any(_is_part(name, one) for one in (*COMMON, *OF_THE_PROGRAM, *used)):
            raise InputError(f"{program} does not use {name}; it uses {', '.join((*COMMON[:3], *used))}")


def restricted(nested: Mapping[str, Any], used: Sequence[str], prefix: str = "") -> dict[str, Any]:
    """Only the options that are used, of nested ones."""
    kept: dict[str, Any] = {}
    for name, value in nested.items():
        full = f"{prefix}{name}"
        if any(_is_part(full, one) for one in (*COMMON, *used)):
            kept[name] = value
        elif isinstance(value, Mapping) and (inner := restricted(value, used, f"{full}.")):
            kept[name] = inner
    return kept


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options by their dotted names."""
    names: dict[str, Any] = {}
    for name, value in nested.items():
        names |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return names


def portable(value: Any) -> Any:
    """The same options with absolute paths cut down: below the project to the rest, elsewhere to the last name."""
    if isinstance(value, Mapping):
        return {name: portable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [portable(inner) for inner in value]
    if isinstance(value, str) and value.startswith("/"):
        absolute = Path(value)
        return str(absolute.relative_to(ROOT)) if absolute.is_relative_to(ROOT) else absolute.name
    return value


def _meant(name: str, known: Sequence[str]) -> str:
    """Words for which options were probably meant: those whose own name this is, or is short for (lr, wd), before those
    that look alike."""
    given = name.rpartition(".")[2].lower()
    own = {option: option.rpartition(".")[2] for option in known}
    fitting = [
        option
        for option, last in own.items()
        if given in (last, "".join(word[:1] for word in last.split("_"))) or (len(given) > 2 and last.startswith(given))
    ]
    return closest(name, fitting, cutoff=0.0) if fitting else closest(name, known)


def _is_part(name: str, of: str) -> bool:
    return name == of or name.startswith(f"{of}.")


def _attribution(node: Mapping[str, Any]) -> AttributionSetting:
    target, own = node["_target_"], {name: value for name, value in node.items() if not name.startswith("_")}
    try:
        pkgutil.resolve_name(str(target))
    except (ValueError, ImportError, AttributeError) as error:
        raise InputError(f"attribution._target_={target}: expected a function's dotted path ({error})") from error
    return AttributionSetting(target, tuple(own.items()))


def _score(name: Any) -> Score | None:
    known = [score.value for score in Score]
    if name is not None and name not in known:
        raise InputError(f"confidence.score={name!r}: expected one of {', '.join(known)}, or null")
    return None if name is None else Score(name)


def _groups() -> dict[str, list[str]]:
    return {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in CONF.iterdir() if folder.is_dir()
    }


def _overrides(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """The name and the value of each option of a command line that is not Hydra's own."""
    parted = (argument.partition("=") for argument in arguments)
    return [(name, value) for name, equals, value in parted if equals and not name.startswith(("-", "hydra", "+", "~"))]


@functools.cache
def _option_names(chosen: tuple[str, ...], config: str) -> tuple[str, ...]:
    """The dotted names of all options under the choices made."""
    names: list[str] = []

    def walk(node: Any, prefix: str) -> None:
        for name, inner in node.items() if isinstance(node, dict) else ():
            names.append(f"{prefix}{name}")
            walk(inner, f"{prefix}{name}.")

    walk(plain(compose(chosen, config), resolve=False), "")
    return tuple(names)
