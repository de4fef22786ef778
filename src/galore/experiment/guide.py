"""What `--help` says of a program: what it asks, and which options it uses, from its docstring and from conf/."""

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from galore.experiment import config

HYDRA = """\
Hydra's own: -m runs one job for each of several values (seed=0,1,2), --cfg job prints all options, hydra.run.dir=FOLDER
says where the results go, --hydra-help tells the rest. Also: experiment=NAME for several options at once,
tracker=tensorboard (or wandb, mlflow) to send the numbers there."""


def text(about: str, used: Sequence[str], width: int, name: str = "config") -> str:
    """The help of a program.

    Args:
        about: its docstring.
        used: the groups and options that it uses; "train.*" for a group with each of its options.
        width: of the terminal in characters.
        name: of the file in conf/ that composes its options.
    """
    chosen, values = _chosen(), config.plain(config.compose([], name), resolve=False)
    lines = [_refilled(about, width), "", "Options, as NAME=VALUE, with their defaults:"]
    for option in dict.fromkeys(used):
        group, _, own = option.partition(".")
        if not own or (own == "*" and _choices(group, chosen)):
            lines.append(_line(f"{group}={chosen[group]}", _choices(group, chosen), width))
        if own == "*":
            lines += [_value(f"{group}.{one}", value, chosen, width) for one, value in values[group].items()]
        elif own:
            lines.append(_value(option, values[group][own], chosen, width))
    lines.append(_line(f"seed={values['seed']}", "of the training, and of what is drawn", width))
    return "\n".join([*lines, "", textwrap.fill(" ".join(HYDRA.split()), width)])


def _chosen() -> dict[str, str]:
    """The choice of each group that conf/config.yaml begins with."""
    loaded: Any = OmegaConf.to_container(OmegaConf.load(config.CONF / "config.yaml"), resolve=False)
    return {group: choice for one in loaded["defaults"] if isinstance(one, Mapping) for group, choice in one.items()}


def _choices(group: str, chosen: Mapping[str, str]) -> str:
    others = [file.stem for file in sorted((config.CONF / group).glob("*.yaml")) if file.stem != chosen[group]]
    return f"or {', '.join(others)}" if others else ""


def _value(option: str, value: Any, chosen: Mapping[str, str], width: int) -> str:
    group, _, own = option.partition(".")
    return _line(f"{option}={_shown(value)}", _comment(group, chosen[group], own), width)


def _shown(value: Any) -> str:
    """As Hydra takes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def _comment(group: str, choice: str, option: str) -> str:
    """What stands behind the option in the file that gives its default."""
    content = (config.CONF / group / f"{choice}.yaml").read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(option)}:.*?\s#\s*(.*)$", content, re.MULTILINE)
    return found[1] if found else ""


def _line(option: str, words: str, width: int) -> str:
    column = min(34, width // 2)
    lead = f"  {option}".ljust(column - 2)
    if not words:
        return lead.rstrip()
    indent = " " * column
    if len(lead) > column - 2:
        return f"{lead}\n{textwrap.fill(words, width, initial_indent=indent, subsequent_indent=indent)}"
    return textwrap.fill(words, width, initial_indent=f"{lead}  ", subsequent_indent=indent, break_on_hyphens=False)


def _refilled(about: str, width: int) -> str:
    """The docstring at this width; lines that begin with a space are commands and tables, and stay as they are."""
    paragraphs = textwrap.dedent(about).strip().split("\n\n")
    return "\n\n".join(
        one if one.startswith(" ") else textwrap.fill(" ".join(one.split()), width) for one in paragraphs
    )
