"""Pages whose blocks of Python run as a reader would run them, and print what the page shows."""

import contextlib
import io
import re
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1] / "docs"


class Block(NamedTuple):
    """Code, and what the page says that it prints; None where the page shows nothing."""

    code: str
    printed: str | None


def blocks(page: Path) -> list[Block]:
    """The blocks of Python of a page, each with the block of text that follows it at once."""
    pattern = r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?"
    found = re.finditer(pattern, page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [Block(*match.groups()) for match in found]


def run(page: Path) -> None:
    """Runs the blocks one after the other and compares what they print with what the page shows."""
    namespace = {"__name__": page.stem}
    for block in blocks(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.code, page.name, "exec"), namespace)
        if block.printed is not None:
            assert printed.getvalue() == block.printed, page.name
