"""`windlass new NAME`: a project of one's own, from a table or from an example."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.cli.console import add_command, echo, echo_facts, echo_table, fail_usage
from windlass.core.error_descriptions import install_command
from windlass.errors import counted

if TYPE_CHECKING:
    from windlass.scaffold.project_folder import NewProject


def register(app: typer.Typer) -> None:
    """Adds `new` to the application."""
    add_command(app, "new", new)


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the project, and of its folder.")
    ],
    from_csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table to learn from: CSV, Parquet or Excel, with a header.",
            show_default="an example",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the table that is predicted.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Write into a folder that exists; files that would change are kept as FILE.bak1.",
        ),
    ] = False,
) -> None:
    """Make a project: a declaration, a README and tests, inferred from a table.

    Every decision is printed, with its reason.
    """
    if from_csv is None and target is not None:
        fail_usage("--target names a column of a table. Add --from-csv FILE.")
    if from_csv is not None and target is None:
        fail_usage(f"Which column of {from_csv} is predicted? Add --target COLUMN.")
    from windlass.scaffold.project_folder import make_project

    _print(make_project(Path(name), from_csv, target, force=force))


def _print(project: "NewProject") -> None:
    from windlass.scaffold.project_texts import column_cells, doubt_lines, target_lines

    profile = project.profile
    source = profile.source
    echo(
        f"{project.folder.name}: from {source.file.name}, {counted(source.rows, 'row')},"
        f" {counted(len(source.columns), 'column')}"
    )
    for line in [*(source.dialect.reasons if source.dialect else ()), *target_lines(profile)]:
        echo(f"  {line}")
    echo()
    echo_table(
        ("column", "type", "values", "missing", "why"),
        [column_cells(column) for column in profile.inputs],
    )
    if profile.left_out:
        echo()
        echo("Left out:")
        echo_facts(
            (f"  {column.name or '(no name)'}", column.left_out or "")
            for column in profile.left_out
        )
    doubts = doubt_lines(profile)
    if doubts:
        echo()
        echo("Please check:")
        for doubt in doubts:
            echo(f"  {doubt}")
    echo()
    _print_next(project)


def _print_next(project: "NewProject") -> None:
    for old, backup in project.backups:
        echo(f"{old} was there; it is {backup.name} now.")
    echo(f"Written: {', '.join(map(str, project.files))}")
    echo()
    echo("Next:")
    if find_spec("sklearn") is None or find_spec("pandas") is None:
        echo(f"  {install_command('train')}    # what training needs")
    echo(f"  cd {project.folder}")
    echo(
        "  windlass train    # goes into production if its gates pass and its data has no findings"
    )
    echo("  windlass serve    # answers on http://127.0.0.1:8000, and prints a command to try")
