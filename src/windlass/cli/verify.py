"""`windlass verify`: does training again give the same result?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.cli.console import DONE, FAILED, Json, add_command, echo, echo_json, progress
from windlass.cli.context import BundleOrProject, resolve_bundle, split_arguments
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.workflows.verify import Verification


def register(app: typer.Typer) -> None:
    """Adds `verify` to the application."""
    add_command(app, "verify", verify)


def verify(
    arguments: BundleOrProject = None,
    project: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the project.",
            show_default="searched above the bundle",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Train a bundle again from its recorded inputs, and report what differs and why."""
    from windlass.workflows import verify as workflow

    target, names = split_arguments(arguments, "windlass verify [BUNDLE or PROJECT] [VERSION]")
    reference = resolve_bundle(target, names)
    path = reference.bundle.path
    with progress(quiet=json) as report:
        folder = project or reference.project
        verification = workflow.verify(path, folder, report, Settings.read(near=[target]))
    if json:
        echo_json(
            {
                "equal": verification.equal,
                "bundle": str(path),
                "version": reference.bundle.version,
                "digest": verification.bundle.digest,
                "differences": verification.differences,
                "reasons": verification.reasons,
            }
        )
    else:
        _print_verification(verification)
    return DONE if verification.equal else FAILED


def _print_verification(verification: "Verification") -> None:
    path = verification.bundle.path
    if verification.equal:
        echo(f"Equal: training again gives the metrics, parameters and predictions of {path}.")
        return
    echo(f"Different: training again does not give what {path} holds.")
    for difference in verification.differences:
        echo(f"  differs  {difference}")
    for reason in verification.reasons:
        echo(f"  because  {reason}")
