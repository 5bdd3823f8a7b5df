"""`windlass verify BUNDLE`: does training again give the same result?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.cli.console import DONE, REFUSED, guarded, progress, say, say_json
from windlass.core.bundle import find_bundle

if TYPE_CHECKING:
    from windlass.workflows.verify import Verification


def register(app: typer.Typer) -> None:
    """Attach `verify` to the application."""

    @app.command("verify")
    def verify(
        bundle: Annotated[
            Path, typer.Argument(help="A bundle, or a project that holds artifacts.")
        ] = Path(),
        project: Annotated[
            Path | None,
            typer.Option(help="The project's folder; otherwise looked for above the bundle."),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    ) -> None:
        """Train again from what a bundle says, and report equal, or what differs and why."""
        raise typer.Exit(guarded(lambda: _verify(bundle, project, json=json)))


def _verify(path: Path, project: Path | None, *, json: bool) -> int:
    from windlass.workflows.verify import verify

    found = find_bundle(path)
    with progress(quiet=json) as report:
        verification = verify(found, project, report)
    if json:
        say_json(
            {
                "equal": verification.equal,
                "bundle": str(found),
                "digest": verification.bundle.digest,
                "differences": verification.differences,
                "reasons": verification.reasons,
            }
        )
    else:
        _tell(verification)
    return DONE if verification.equal else REFUSED


def _tell(verification: "Verification") -> None:
    path = verification.bundle.path
    if verification.equal:
        say(f"Equal: training again gives the metrics, parameters and predictions of {path}.")
        return
    say(f"Different: training again does not give what {path} holds.")
    for difference in verification.differences:
        say(f"  differs  {difference}")
    for reason in verification.reasons:
        say(f"  because  {reason}")
