"""What all commands share: exit codes, one-line errors, progress, tables and JSON on the terminal."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from windlass.core.project_loader import describe_error
from windlass.errors import WindlassError

if TYPE_CHECKING:
    from windlass.workflows.pipeline_job import Step

DONE, REFUSED, USAGE = 0, 1, 2
_ENDLESS = 1_000_000  # characters, wider than any row

Progress = Callable[[float, str], None]


def guarded(action: Callable[[], int | None]) -> int:
    """Run a command and return its exit code: what Windlass refuses is one line on stderr and code 1."""
    try:
        return action() or DONE
    except WindlassError as error:
        say_error(str(error))
    except KeyboardInterrupt:
        say_error("Interrupted.")
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        sys.stderr.close()
    except Exception as error:  # noqa: BLE001 - a fault of ours, told in a line like any other
        say_error(
            f"Unexpected {describe_error(error)}. This is a fault of Windlass; please report it."
        )
    return REFUSED


def say(text: str = "") -> None:
    """One line, or several, on stdout."""
    sys.stdout.write(f"{text}\n")


def say_error(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"windlass: {' '.join(text.split())}\n")


def say_usage(text: str) -> NoReturn:
    """Refuse bad usage: one line on stderr, exit code 2."""
    say_error(text)
    raise SystemExit(USAGE)


def say_json(value: Any) -> None:
    """A value as JSON on stdout, for programs."""
    say(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def say_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and values in two aligned columns."""
    rows = list(facts)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:<{width}}  {value}")


def say_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout, nothing of it cut off: as wide as the terminal, elsewhere a line for each row."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = [Column(name, overflow="fold") for name in header]
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(" ".join(str(cell).split())) for cell in row))
    Console(width=None if sys.stdout.isatty() else _ENDLESS).print(table)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A Progress on stderr: a bar on a terminal, one line a step elsewhere, nothing if quiet."""
    if quiet:
        yield _nothing
    elif sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _line


def _nothing(share: float, message: str) -> None:
    """Progress that nobody reads."""


def _line(share: float, message: str) -> None:
    sys.stderr.write(f"{share:4.0%} {message}\n")
    sys.stderr.flush()


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(20), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    text = TextColumn("{task.description}", markup=False)
    with Bar(*columns, text, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, message: bar.update(task, completed=share, description=message)


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
