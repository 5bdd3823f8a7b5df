"""`windlass verify`: does training again give the same result?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.cli.console import DONE, FAILED, echo, echo_json, progress, run_command
from windlass.cli.context import resolve_bundle, split_arguments
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.workflows.verify import Verification


def register(app: typer.Typer) -> None:
    """Adds `verify` to the application."""

    @app.command("verify")
    def verify(
        which: Annotated[
            list[str] | None,
            typer.Argument(metavar="[BUNDLE or PROJECT] [VERSION]", show_default="here"),
        ] = None,
        project: Annotated[
            Path | None,
            typer.Option(help="The project's folder; otherwise looked for above the bundle."),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    ) -> None:
        """Train again from what a bundle says, and report equal, or what differs and why."""
        usage = "windlass verify [BUNDLE or PROJECT] [VERSION]"
        target, names = split_arguments(which, max_versions=1, usage=usage)
        raise typer.Exit(run_command(lambda: _verify(target, names, project, json=json)))


def _verify(target: Path, names: list[str], project: Path | None, *, json: bool) -> int:
    from windlass.workflows.verify import verify

    reference = resolve_bundle(target, names)
    path = reference.bundle.path
    with progress(quiet=json) as report:
        verification = verify(path, project or reference.project, report, Settings.read())
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
