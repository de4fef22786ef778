"""The guide to other models runs as printed, and keeps its promise of a few lines."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "other_models.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_every_block_runs_in_order():
    namespace = {"__name__": "page"}
    for block in BLOCKS:
        exec(compile(block, PAGE.name, "exec"), namespace)


def test_each_model_is_explained_in_under_ten_lines():
    explaining = [block for block in BLOCKS if "galore.Network(" in block or "galore.from_nnx(" in block]
    assert len(explaining) == 3
    for block in explaining:
        lines = block.splitlines()
        start = next(i for i, line in enumerate(lines) if re.match(r"def \w*features|module = ", line))
        end = next(i for i, line in enumerate(lines) if line.startswith("explanation"))
        assert end - start + 1 < 10
