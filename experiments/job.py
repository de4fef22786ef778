"""One training and its experiments, as a job of a launcher; `reproduce.py` starts all of them at once.

    python experiments/job.py study=cub-resnet50,cub-vgg16_bn seed=0,1,2 arguments="['setting=papers','data=DIR']" -m

A job that is killed goes on where it stopped when the same command is given again; one that is finished ends at once.
"""

from galore import program

program.guard(__name__)

import os
import sys
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra

from galore.experiment import config, runner


# A parallel launcher pickles `main` with the globals that it names: modules.
@hydra.main(version_base="1.3", config_path="../conf", config_name="job")
def main(cfg: Any) -> None:
    """Trains and runs what is missing of one study and seed."""
    with runner.job():
        GlobalHydra.instance().clear()  # options are composed anew, which Hydra does not do within a job of its own
        runner.load("reproduce").run_job([*cfg.arguments, f"study={cfg.study}", f"seed={cfg.seed}"])


def start() -> None:
    """Gives Hydra its flags last, in the project's folder."""
    os.chdir(config.ROOT)
    sys.argv[1:] = runner.flags_last(sys.argv[1:])
    main()


if __name__ == "__main__":
    sys.exit(runner.reported(start))
