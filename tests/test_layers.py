"""Data flows one way: a module or package imports only what stands below it, and a program only the library."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "galore"

# From the ground up; what stands on one line does not import each other. A package is one layer.
LAYERS = [
    ["errors", "moved", "representation", "statistics", "head_program"],
    ["foreign"],
    ["options", "class_names", "atomic", "npz", "processes", "program", "terminal", "batching", "precision"],
    ["cache"],
    ["data"],
    ["network", "regions", "provenance"],
    ["head_structure", "cutting", "overlay", "fitted_file"],
    ["plotting"],
    ["curvature", "confidence"],
    ["attribution"],
    ["arguments", "explanation_types"],
    ["score_maps"],
    ["part_tables"],
    ["counterparts"],
    ["explain", "models"],
    ["training"],
    ["loading"],
    ["evaluation", "stream"],
    ["benchmark"],
    ["report"],
    ["teach"],
    ["experiment"],
    ["commands"],
    ["cli"],
    ["__main__"],
    ["experiments", "scripts"],
]
LAYER_OF = {name: level for level, names in enumerate(LAYERS) for name in names}


def part_of(path: Path) -> str:
    """The layer's name of a file: a module or package of galore, or the folder of a program."""
    if not path.is_relative_to(SOURCE):
        return path.parent.name
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """The parts of galore that a file imports, anywhere in it, and the programs."""
    programs = {file.stem: folder for folder in ("experiments", "scripts") for file in (ROOT / folder).glob("*.py")}
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # What `from galore import x` gives is a part, or a public name that galore takes from one.
            names |= {f"galore.{alias.name}" for alias in node.names} if node.module == "galore" else {node.module}
    inside = {name.split(".")[1] for name in names if name.startswith("galore.")}
    return (inside & LAYER_OF.keys()) | {programs[name] for name in names if name in programs}


FILES = [
    path
    for folder in (SOURCE, ROOT / "experiments", ROOT / "scripts")
    for path in sorted(folder.rglob("*.py"))
    if path != SOURCE / "__init__.py"
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_upwards_or_beside(path):
    own = part_of(path)
    assert own in LAYER_OF, f"{own} has no place in the layout: add it to LAYERS"
    others = {name for name in imports_of(path) if name != own or name == "experiments"}
    wrong = sorted(name for name in others if LAYER_OF[name] >= LAYER_OF[own])
    assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}, which do not stand below {own}"


def test_a_layer_is_a_module_or_a_package_and_experiments_hold_programs_alone():
    there = {part_of(path) for path in FILES} - {"experiments", "scripts"}
    assert there == LAYER_OF.keys() - {"experiments", "scripts"}
    for path in (ROOT / "experiments").glob("*.py"):
        assert '__name__ == "__main__"' in path.read_text(), f"{path.name} is no program"
