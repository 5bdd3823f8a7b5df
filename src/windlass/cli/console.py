"""Terminal output of all commands: exit codes, one-line errors, progress, tables and JSON."""

import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperArgument, TyperCommand

from windlass.core.error_descriptions import describe_fault
from windlass.core.progress import ProgressCallback, ignore_progress, terminal_bar
from windlass.errors import WindlassError

if TYPE_CHECKING:
    from windlass.workflows.pipeline_job import PipelineStep

DONE, FAILED, USAGE = 0, 1, 2
_NUMBERS = (int, float, int | None, float | None)
_UNLIMITED_WIDTH = 1_000_000  # characters, wider than any row

Json = Annotated[bool, typer.Option("--json", help="Print only JSON.")]


class Command(TyperCommand):
    """Command whose help names no Python types, and which reads numbers in ASCII digits only.

    In the help, options show their metavar, flags and arguments nothing.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Returns the parameters, as Click calls it."""
        params: list[Any] = super().get_params(ctx)
        for param in params:
            if param.type_descriptor.annotation in _NUMBERS:
                param.process_value = functools.partial(_process_number, param)
            if isinstance(param, TyperArgument):
                setattr(param, "display_type_rich", _no_type)  # noqa: B010 - else mypy objects
                if param.nargs != 1:
                    setattr(param, "get_usage_pieces", functools.partial(_usage, param.metavar))  # noqa: B010
            elif param.metavar is None and getattr(param, "is_flag", False):
                param.metavar = ""
        return params


def _process_number(param: Any, ctx: Any, value: Any) -> Any:
    """Reads a number in ASCII digits; Typer alone would read `1_000`, as Python does."""
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        raise typer.BadParameter(f"{value!r} is not a number in digits.", ctx=ctx, param=param)
    return type(param).process_value(param, ctx, value)


def _no_type(**_: Any) -> None:
    return None


def _usage(metavar: str | None, _: Any) -> list[str]:
    return [metavar or ""]


def add_command(
    app: typer.Typer, name: str, function: Callable[..., int | None], **settings: Any
) -> None:
    """Adds a function as a command: what it returns is the exit code, and its error is one line on stderr."""

    @app.command(name, cls=Command, **settings)
    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> None:
        raise typer.Exit(run_command(functools.partial(function, *args, **kwargs)))


def run_command(action: Callable[[], int | None]) -> int:
    """Runs a command and returns its exit code; an error is one line on stderr and code 1."""
    try:
        return action() or DONE
    except WindlassError as error:
        echo_error(str(error))
    except KeyboardInterrupt:
        echo_error("Interrupted.")
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        sys.stderr.close()
    except Exception as error:  # noqa: BLE001 - a fault of ours, reported in one line too
        echo_error(describe_fault(error))
    return FAILED


def echo(text: str = "") -> None:
    """Writes text and a newline to stdout."""
    sys.stdout.write(f"{text}\n")


def echo_error(text: str) -> None:
    """Writes an error as one line to stderr."""
    sys.stderr.write(f"windlass: {' '.join(text.split())}\n")


def echo_warning(text: str) -> None:
    """Writes a warning as one line to stderr."""
    echo_error(f"warning: {text}")


def fail_usage(text: str) -> NoReturn:
    """Exits with code 2 for bad usage, after one line on stderr."""
    echo_error(text)
    raise SystemExit(USAGE)


def echo_json(value: Any) -> None:
    """Writes a value as JSON to stdout."""
    echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def echo_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Writes names and values in two aligned columns to stdout."""
    rows = list(facts)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        echo(f"{name:<{width}}  {value}")


def echo_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a table to stdout: folded to the width of a terminal, elsewhere one line for each row."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = [Column(name, overflow="fold") for name in header]
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(" ".join(str(cell).split())) for cell in row))
    Console(width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH).print(table)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[ProgressCallback]:
    """Yields a progress callback that writes to stderr: a bar on a terminal, lines elsewhere, nothing if quiet."""
    if quiet:
        yield ignore_progress
    elif sys.stderr.isatty():
        with terminal_bar() as report:
            yield report
    else:
        yield _report_line


def _report_line(share: float, message: str) -> None:
    sys.stderr.write(f"{share:4.0%} {message}\n")
    sys.stderr.flush()


@contextmanager
def steps_progress(steps: "Sequence[PipelineStep]", *, quiet: bool) -> Iterator[ProgressCallback]:
    """Yields a progress callback that shows a bar for each step on a terminal; otherwise as `progress`."""
    if quiet or not sys.stderr.isatty():
        with progress(quiet=quiet) as report:
            yield report
    else:
        with _step_bars(steps) as report:
            yield report


@contextmanager
def _step_bars(steps: "Sequence[PipelineStep]") -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", markup=False),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks = [bars.add_task(step.name, total=1.0, start=False, message="") for step in steps]

        def report(share: float, message: str) -> None:
            for step, task in zip(steps, tasks, strict=True):
                done = step.progress_range.share(share)
                if share >= step.progress_range.begin:
                    bars.start_task(task)
                is_now = step.progress_range.begin <= share < step.progress_range.end
                bars.update(task, completed=done, message=message if is_now else "")

        yield report
