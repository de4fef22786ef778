"""One progress bar a phase, with the rate and the time that is left, on stderr."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

console = Console(stderr=True)


class Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Any) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


class Bars:
    """A bar for every name that it is called with."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        times = (Rate(), TimeElapsedColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, *times, TextColumn("{task.fields[text]}"), console=console)
        self.tasks: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int, text: str = "") -> None:
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(name, total=total, text=text)
        self.progress.update(self.tasks[name], completed=done, total=total, text=text)
