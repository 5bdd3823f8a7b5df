"""`windlass verify`: does training again give the same result?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.cli.bundles import named_bundle
from windlass.cli.console import DONE, REFUSED, guarded, progress, say, say_json
from windlass.cli.context import split_arguments
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.workflows.verify import Verification


def register(app: typer.Typer) -> None:
    """Attach `verify` to the application."""

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
        place, names = split_arguments(which, most=1, usage=usage)
        raise typer.Exit(guarded(lambda: _verify(place, names, project, json=json)))


def _verify(place: Path, names: list[str], project: Path | None, *, json: bool) -> int:
    from windlass.workflows.verify import verify

    named = named_bundle(place, names)
    found = named.bundle.path
    with progress(quiet=json) as report:
        verification = verify(found, project or named.project, report, Settings.read())
    if json:
        say_json(
            {
                "equal": verification.equal,
                "bundle": str(found),
                "version": named.bundle.version,
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
