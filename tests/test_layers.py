"""Data flows one way: a module imports only what stands below it."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "galore"

# From the ground up; modules of one line may import each other.
LAYERS = [
    ["errors", "class_names"],
    ["atomic", "terminal"],
    ["data.geometry", "data.photo", "data.dataset"],
    ["preprocessing"],
    ["data"],
    ["network", "head_program"],
    ["head_structure"],
    ["curvature", "explanations"],
    ["attribution", "confidence"],
    ["scores"],
    ["explain", "regions"],
    ["provenance"],
    ["models"],
    ["training"],
    ["loading"],
    ["evaluation"],
    ["stream", "benchmark"],
    ["report"],
    ["teach"],
    ["commands"],
    ["cli"],
]


def layer_of(module: str) -> int:
    matching = [
        (len(prefix), level)
        for level, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if module == prefix or module.startswith(prefix + ".")
    ]
    assert matching, f"{module} has no place in the layout: add it to LAYERS"
    return max(matching)[1]


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        name = name.removesuffix(".__init__")
        if name != "__init__":
            found[name] = path
    return found


MODULES = modules()


def imports_of(path: Path) -> set[str]:
    """The galore modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.removeprefix("galore.") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "galore":
            package = node.module.removeprefix("galore").removeprefix(".")
            for alias in node.names:
                inner = f"{package}.{alias.name}".removeprefix(".")
                names.add(inner if inner in MODULES else package)
    return {name for name in names if name in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_upwards(module):
    above = {name for name in imports_of(MODULES[module]) if layer_of(name) > layer_of(module)}
    # A package's __init__ gathers its own modules.
    above = {name for name in above if not name.startswith(module + ".")}
    assert not above, f"galore.{module} imports {sorted(above)}, which stand above it"
