"""The `galore` command: finds the module of the command that was asked for, and imports nothing else."""

import argparse
import ast
import contextlib
import gc
import importlib
import importlib.util
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import galore
from galore import program
from galore.errors import LONGEST_MESSAGE, harmless

COMMANDS = (
    "explain",
    "demo",
    "part-tables",
    "counterparts",
    "stream",
    "data",
    "make-birds",
    "make-scenes",
    "bench",
    "teach",
    "teach-results",
    "agree",
)
"""Each is a module of `galore.commands` with `add_arguments(parser)`, `run(args)`, and a docstring of one line and
examples."""
EPILOG = """\
examples:
  galore demo
  galore explain bird.jpg --why-not finch
  galore explain --help"""


_formatwarning = warnings.formatwarning


class Parser(argparse.ArgumentParser):
    """Says what is wrong on one line, without repeating the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {harmless(message, 1000)} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: without the program's name; None: those of the process.

    Returns:
        0, or as `program.ended` says: 2 for input that the person can correct, with one line on stderr.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    warnings.formatwarning = _one_line

    def work() -> int | None:
        parser = build_parser(arguments)
        options = parser.parse_args(arguments)
        if hasattr(options, "run"):
            return options.run(options)
        parser.print_help()

    with _little_garbage_collection():
        return program.ended("galore", work)


@contextlib.contextmanager
def _little_garbage_collection() -> Iterator[None]:
    """Loading and tracing make a million objects that stay; looking through them takes a twentieth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """What the library has to say to a person, without the place in its source; other warnings are for programmers."""
    if category is UserWarning:
        return f"galore: {harmless(str(message), LONGEST_MESSAGE)}\n"
    return _formatwarning(message, category, filename, lineno, line)


def build_parser(arguments: Sequence[str]) -> Parser:
    """The parser, complete for the command that the arguments name and a one-line entry for the others."""
    # Examples stay as they were written.
    form = argparse.RawDescriptionHelpFormatter
    about = "Ask an image classifier three questions and look at the answers."
    parser = Parser(prog="galore", description=about, epilog=EPILOG, formatter_class=form)
    parser.add_argument("--version", action="version", version=f"galore {galore.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    width = shutil.get_terminal_size().columns - 2  # as argparse has it
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name in COMMANDS:
        source = _source(name)
        if source is None:
            continue
        docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or name
        about, _, examples = docstring.partition("\n")
        told: dict[str, Any] = {
            "description": textwrap.fill(about, width),
            "epilog": f"examples:{textwrap.indent(examples, '  ')}",
        }
        command = commands.add_parser(name, help=about.rstrip("."), **told, formatter_class=form)
        if name == chosen:
            module = importlib.import_module(_module(name))
            command.set_defaults(run=module.run)
            module.add_arguments(command)
    return parser


def _module(command: str) -> str:
    return f"galore.commands.{command.replace('-', '_')}"


def _source(command: str) -> Path | None:
    """The command's module, found without running it; None where it is not part of this installation."""
    spec = importlib.util.find_spec(_module(command))
    return Path(spec.origin) if spec and spec.origin else None


if __name__ == "__main__":
    sys.exit(main())
