"""The command-line application: one file a group of commands."""

import typer

from windlass._version import __version__
from windlass.cli import (
    decisions,
    keys,
    new,
    pipeline,
    predict,
    serve,
    train,
    verify,
    versions,
    worker,
)
from windlass.cli.console import echo
from windlass.cli.features import snapshots as features

app = typer.Typer(
    name="windlass",
    help="Take a model to production and keep it there.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for group in (
    new,
    train,
    features,
    pipeline,
    verify,
    versions,
    decisions,
    serve,
    worker,
    predict,
    keys,
):
    group.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", callback=_version, is_eager=True
    ),
) -> None:
    """Options of every command."""
