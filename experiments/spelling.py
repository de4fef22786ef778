"""Options that do not exist are refused before anything starts, naming the closest ones."""

from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from galore.errors import InputError, closest

CONF = Path(__file__).resolve().parents[1] / "conf"


def check(arguments: list[str], config: str = "config", own: tuple[str, ...] = ()) -> None:
    """Looks at `name=value` arguments as Hydra takes them; flags and what begins with hydra, + or ~ is Hydra's own.

    Args:
        arguments: of the command line.
        config: the name of the file in conf/ that they change.
        own: names of options that the program takes beside those.

    Raises:
        InputError: no such option, or no such choice of a group.
    """
    groups = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in CONF.iterdir() if folder.is_dir()
    }
    known = None
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or name.startswith(("-", "hydra", "+", "~")):
            continue
        if name in groups:
            for choice in value.strip("[]").split(","):
                if choice.strip("'\" ") not in (*groups[name], "null"):
                    hint = closest(choice, groups[name]) or f"there are {', '.join(groups[name])}"
                    raise InputError(f"{name}={choice}: no such choice; {hint}")
            continue
        known = known or [*own, *_option_names(arguments, groups, config)]
        if name not in known:
            hint = closest(name, known) or f"see {CONF.name}/"
            raise InputError(f"unknown option {name!r}; {hint}")


def _option_names(arguments: list[str], groups: dict[str, list[str]], config: str) -> list[str]:
    """The dotted names of all options under the choices made."""
    chosen = [argument for argument in arguments if argument.partition("=")[0] in groups and "," not in argument]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose(config, overrides=chosen)
    names: list[str] = list(groups)

    def walk(node: Any, prefix: str) -> None:
        for name, inner in node.items() if isinstance(node, dict) else ():
            names.append(f"{prefix}{name}")
            walk(inner, f"{prefix}{name}.")

    walk(OmegaConf.to_container(cfg, resolve=False), "")
    return list(dict.fromkeys(names))
