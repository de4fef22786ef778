"""What a person did wrong, on one line: in a program, in a Hydra job, and in one job of a sweep that goes on."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode

from galore.errors import InputError


def reported(work: Callable[[], Any]) -> int:
    """Runs a program; mistakes in files and options end it with one line on stderr.

    Returns:
        The exit code: 0, or 2 after a mistake.
    """
    # Else Hydra prints the stack of whatever a job raises and exits itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        work()
    except _ToldAlready:
        return 2
    except (InputError, HydraException) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def flags_last(arguments: list[str]) -> list[str]:
    """The arguments of a command line with the options first: Hydra takes them on one side of its flags only."""
    flags = [argument for argument in arguments if argument.startswith("-") or "=" not in argument]
    return [argument for argument in arguments if argument not in flags] + flags


@contextlib.contextmanager
def job() -> Iterator[None]:
    """The work of a Hydra job.

    In a sweep the line is printed by the process that a launcher started, at once, and names the job. The launcher sees
    an ordinary exception: it starts the other jobs, and raises the first one's after the last job.
    """
    # Hydra puts everything from INFO upwards on stdout, where the results belong. What orbax cannot write it logs, with
    # the traceback of each of its threads, and raises as well: the error says it in one sentence.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("jax").setLevel(logging.ERROR)
    try:
        yield
    except InputError as error:
        about = HydraConfig.get()
        if about.mode != RunMode.MULTIRUN:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        print(f"error in job {about.job.num}: {error}", file=sys.stderr, flush=True)
        raise _ToldAlready from None


class _ToldAlready(Exception):
    """A job failed and has said why."""
