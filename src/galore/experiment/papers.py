"""The papers' own setting: their four networks on their two data sets, as studies of `experiments/reproduce.py`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from galore.errors import InputError, closest
from galore.experiment import rehearsal
from galore.models import factory
from galore.models.published import Download

NETWORKS = ("vgg16_bn", "resnet50", "resnet34", "alexnet")
FOLDERS = {"cub": "CUB_200_2011", "ade20k": "ADEChallengeData2016"}
"""The folder of each data set, as its archive names it."""
COMPARED = ("deliberative_network", "counterfactual_attribution")
"""Experiments that compare the networks of a data set."""
SEEDS = (0, 1, 2)
STUDENT = "alexnet"
"""The advanced user."""

LEFT_OUT = ("answering", "answering_sanity")
"""Experiments of ours about maps that the papers do not have: what they fit for every two classes, or for every class,
takes gigabytes at 200 classes and does not fit at 1,055."""

REHEARSED_WHOLE = ("cub-vgg16_bn", "ade20k-alexnet")
REHEARSED_ONLY = ("discriminant_vs_attributive",)
"""What a rehearsal of all studies makes of the others."""
REHEARSED_NETWORKS = {"cub": NETWORKS, "ade20k": ("resnet34", "alexnet")}
"""The networks that a rehearsal of all studies trains."""
REHEARSED_COMPARED = {"cub": ("vgg16_bn", "resnet50"), "ade20k": ("resnet34", "alexnet")}
"""Those that it compares: each network once."""

_REHEARSED = (
    f"model.size={rehearsal.INPUT}", "train.first_stage.epochs=2", "train.first_stage.batch_size=20", "train.epochs=2",
    "train.batch_size=20", "train.save_every=1000", "explanation.top=4", "explanation.difficult=6",
    "explanation.edited_images=3", "explanation.path_images=3", "explanation.batch_size=4",
)  # fmt: skip


class Study(NamedTuple):
    """The experiments of one data set and network, for several trainings.

    Attributes:
        name: of its folders and its page.
        overrides: of conf/, without the seed.
        seeds: one training each.
        only: the experiments; empty: all that the data set allows.
        is_alone: whether it is one study of a command line, in which an experiment that cannot be made ends the work.
        dataset, network: of a study of the papers, the first network of those that it compares.
    """

    name: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    only: tuple[str, ...] = ()
    is_alone: bool = False
    dataset: str = ""
    network: str = ""

    @property
    def is_comparison(self) -> bool:
        """Whether it compares networks that other studies train."""
        return self.only == COMPARED


@dataclass(frozen=True)
class Setting:
    """Studies, and where everything lies.

    Attributes:
        studies: in the order in which they are made.
        outputs: the folder of trainings and runs, relative to the project's.
        results: of the pages, likewise.
        data: holds the folders of the data sets; None: this is one study of a command line, not the papers' setting.
        weights: holds the published weights; None: they are downloaded to the user's cache folder.
        is_rehearsal: whether images and weights are invented.
    """

    studies: tuple[Study, ...]
    outputs: str
    results: str
    data: Path | None = None
    weights: Path | None = None
    is_rehearsal: bool = False

    def root(self, dataset: str) -> Path:
        """The folder of a data set of the papers."""
        assert self.data is not None
        return self.data / FOLDERS[dataset]


def setting(data: Path, weights: Path | None, seeds: tuple[int, ...], given: tuple[str, ...] = ()) -> Setting:
    """The studies on the real images, from the published weights.

    Args:
        data: holds `FOLDERS`.
        weights: holds torchvision's files by their published names; None: downloads.
        seeds: of the trainings.
        given: options of conf/ that go before those of the setting.
    """
    return _setting("outputs/papers", "results", data, weights, seeds, given)


def rehearsed(root: Path, seeds: tuple[int, ...], given: tuple[str, ...] = ()) -> Setting:
    """The same studies at small size, on what `draw` makes.

    Args:
        root: the folder of everything, such as outputs/rehearsal.
        seeds, given: as `setting`.
    """
    made = _setting(str(root), str(root / "results"), root / "data", root / "weights", seeds, given, is_rehearsal=True)
    return made


def draw(rehearsal_setting: Setting, root: Path) -> None:
    """Draws the images and the weights of a rehearsal where they are missing.

    Args:
        rehearsal_setting: from `rehearsed`.
        root: where relative paths start.
    """
    weights = root / (rehearsal_setting.weights or "")
    roots = [root / rehearsal_setting.root(dataset) for dataset in FOLDERS]
    rehearsal.draw_images(*roots)
    for network in sorted({study.network for study in rehearsal_setting.studies} | {STUDENT}):
        if not (weights / file_name(network)).exists():
            images = rehearsal.prepared_images(roots[0], roots[1], network)
            rehearsal.write_weights(weights / file_name(network), network, images)


def selected(made: Setting, names: list[str]) -> Setting:
    """Some of the studies, in their order; all where no name is given.

    A rehearsal of all makes every experiment on one network of each data set, one experiment on the others, and leaves
    the two largest networks out on scenes; one of a study that is named makes all of its experiments.

    Raises:
        InputError: there is no such study.
    """
    known = [study.name for study in made.studies]
    for name in names:
        if name not in known:
            hint = closest(name, known) or f"there are {', '.join(known)}"
            raise InputError(f"study={name}: no such study; {hint}")
    studies = tuple(study for study in made.studies if not names or study.name in names)
    if made.is_rehearsal and not names:
        studies = tuple(
            study if study.is_comparison or study.name in REHEARSED_WHOLE else study._replace(only=REHEARSED_ONLY)
            for study in studies
            if study.is_comparison or study.network in REHEARSED_NETWORKS[study.dataset]
        )
    return dataclasses.replace(made, studies=studies)


def file_name(network: str) -> str:
    """The name of a network's published weights: "vgg16_bn-6c64b313.pth"."""
    published = factory.ARCHITECTURES[network].published
    assert isinstance(published, Download)
    return published.url.rpartition("/")[2]


def quoted(value: str | Path) -> str:
    """A value as Hydra takes it, whatever it holds."""
    return "'" + str(value).replace("'", "\\'") + "'"


def _setting(
    outputs: str, results: str, data: Path, weights: Path | None, seeds: tuple[int, ...], given: tuple[str, ...],
    is_rehearsal: bool = False,
) -> Setting:  # fmt: skip
    studies = []
    small = _REHEARSED if is_rehearsal else ()
    for dataset, folder in FOLDERS.items():
        shared = (f"dataset={dataset}", f"dataset.root={quoted(data / folder)}", "train=authors", "explanation=authors")
        options = {network: (*shared, *_of_network(network, weights, outputs), *small, *given) for network in NETWORKS}
        studies += [
            Study(f"{dataset}-{network}", some, seeds, dataset=dataset, network=network)
            for network, some in options.items()
        ]
        among = REHEARSED_COMPARED[dataset] if is_rehearsal else NETWORKS
        runs = ",".join(quoted(f"{outputs}/training/{dataset}-{network}-seed${{seed}}") for network in among)
        compared = (*options[among[0]], f"explanation.checkpoints=[{runs}]")
        studies.append(Study(f"{dataset}-networks", compared, seeds, COMPARED, dataset=dataset, network=among[0]))
    return Setting(tuple(studies), outputs, results, data, weights, is_rehearsal)


def _of_network(network: str, weights: Path | None, outputs: str) -> tuple[str, ...]:
    """Its weights, the folder of its trainings, and the student that all networks of a data set and seed share; AlexNet
    has no student weaker than itself."""
    start = {one: quoted(weights / file_name(one)) if weights else "imagenet" for one in (network, STUDENT)}
    folder = {
        one: quoted(f"{outputs}/training/${{dataset.name}}-{one}-seed${{train.seed}}") for one in (network, "student")
    }
    student = (f"train.alexnet_weights={start[STUDENT]}", f"train.alexnet_folder={folder['student']}")
    return (
        f"model={network}",
        f"model.weights={start[network]}",
        f"model.checkpoint={folder[network]}",
        *(("train.students=[]",) if network == STUDENT else student),
    )
