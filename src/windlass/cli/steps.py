"""The progress of work in several steps: a bar for each on a terminal, a line each elsewhere."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from windlass.cli.console import Progress, progress

if TYPE_CHECKING:
    from windlass.workflows.pipeline import Step


@contextmanager
def steps_progress(steps: "Sequence[Step]", *, quiet: bool) -> Iterator[Progress]:
    """A Progress on stderr that shows every step, the finished ones and those to come too; nothing if quiet."""
    if quiet or not sys.stderr.isatty():
        with progress(quiet=quiet) as report:
            yield report
    else:
        with _bars(steps) as report:
            yield report


@contextmanager
def _bars(steps: "Sequence[Step]") -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", markup=False),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks = [bars.add_task(step.name, total=1.0, start=False, message="") for step in steps]

        def report(share: float, message: str) -> None:
            for step, task in zip(steps, tasks, strict=True):
                done = step.way.share(share)
                if share >= step.way.begin:
                    bars.start_task(task)
                is_now = step.way.begin <= share < step.way.end
                bars.update(task, completed=done, message=message if is_now else "")

        yield report
