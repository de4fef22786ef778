"""Names that moved keep working: importing an old one gives the new one, with a warning that names it.

`MOVED` is the list, and its documentation: old module -> (new module, {old name in it: new name}), "module:name" where
that lies elsewhere. Names that stayed as they were are not listed.
"""

import importlib
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED: dict[str, tuple[str, dict[str, str]]] = {
    "galore.models.loading": ("galore.models.factory", {"load": "galore.loading:load"}),
    "galore.preprocessing": ("galore.data.preprocessing", {}),
    "galore.data.synthetic_birds": (
        "galore.data.synthetic.birds",
        {"Flock": "SyntheticBirds", "Drawing": "BirdDrawing"},
    ),
    "galore.data.synthetic_birds_species": ("galore.data.synthetic.birds_species", {}),
    "galore.data.synthetic_birds_skeleton": ("galore.data.synthetic.birds_body", {}),
    "galore.data.synthetic_birds_shapes": ("galore.data.synthetic.birds_body", {}),
    "galore.data.synthetic_birds_drawing": ("galore.data.synthetic.birds_drawing", {"Drawing": "BirdDrawing"}),
    "galore.data.synthetic_birds_surroundings": (
        "galore.data.synthetic.birds_drawing",
        {"draw_backdrop": "_draw_backdrop", "draw_perch": "_draw_perch", "draw_occluders": "_draw_occluders"},
    ),
    "galore.data.synthetic_scenes": (
        "galore.data.synthetic.scenes",
        {"Album": "SyntheticScenes", "Drawing": "SceneDrawing"},
    ),
    "galore.data.synthetic_scenes_drawing": ("galore.data.synthetic.scenes_drawing", {}),
    "galore.data.synthetic_scenes_furniture": ("galore.data.synthetic.scenes_drawing", {}),
    "galore.data.synthetic_canvas": ("galore.data.synthetic.canvas", {}),
    "galore.data.synthetic_folder": ("galore.data.synthetic.folder", {}),
    "galore.evaluation.subject": ("galore.evaluation.test_set", {"Subject": "TestSet", "examine": "build"}),
    "galore.evaluation.questions": ("galore.evaluation.queries", {"Questions": "Queries"}),
    "galore.evaluation.statistics": ("galore.statistics", {}),
    "galore.evaluation.search_candidates": ("galore.evaluation.search", {}),
    "galore.evaluation.search_semantic": (
        "galore.evaluation.search",
        {name: f"galore.evaluation.keypoints:{name}" for name in ("EditMetrics", "edit_metrics", "keypoint_cells")},
    ),
    "galore.explanations": ("galore.explain", {}),
    "galore.scores": ("galore.explain", {"Choices": "MapOptions"}),
    "galore.training.arrays": ("galore.training.checkpoint", {"read": "read_arrays", "write": "write_arrays"}),
    "galore.training.forward": ("galore.training.architectures", {}),
    "galore.training.held_out": ("galore.training.hardness", {"fit_predictor": "train"}),
    "galore.training.step": ("galore.training.loop", {}),
    "galore.report.overlay": ("galore.overlay", {}),
    "galore.benchmark.works": ("galore.benchmark.workloads", {"Work": "Workload", "WORKS": "WORKLOADS"}),
    "galore.teach.seen": (
        "galore.teach.network_maps",
        {"load": "images_of"},
    ),
    "galore.teach.difficult": (
        "galore.teach.hard_images",
        {"Candidate": "HardImage", "candidates": "with_insecurities"},
    ),
    "galore.teach.statistics": (
        "galore.teach.significance",
        {
            "Interval": "galore.statistics:Estimate",
            "NOTHING": "galore.statistics:NOTHING",
            "wilson": "galore.statistics:wilson",
            "mean": "galore.statistics:bootstrap_mean",
            "difference": "galore.statistics:bootstrap_difference",
        },
    ),
}


class _Finder:
    """Finds and loads the modules of `MOVED`; the base classes of `importlib.abc` would double galore's import time."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None  # pyright: ignore[reportArgumentType]

    def create_module(self, spec: ModuleSpec) -> None:
        """Python makes an empty one."""

    def exec_module(self, module: ModuleType) -> None:
        new, names = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} is now {new}", DeprecationWarning, stacklevel=2)
        there = importlib.import_module(new)
        module.__dict__.update({name: value for name, value in vars(there).items() if not name.startswith("__")})
        module.__dict__.update({old: resolve(new, name) for old, name in names.items()})


def resolve(module: str, name: str) -> Any:
    """What a new name of `MOVED` stands for."""
    home, _, name = name.rpartition(":")
    return getattr(importlib.import_module(home or module), name)


def install() -> None:
    """Lets Python find the moved modules."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
