"""`windlass predict BUNDLE`: predictions for a file of rows."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.cli.console import DONE, REFUSED, guarded, progress, say, say_error, say_json
from windlass.core.bundle import Bundle, find_bundle

if TYPE_CHECKING:
    from windlass.workflows.score import ScoreRequest, ScoreSummary


def register(app: typer.Typer) -> None:
    """Attach `predict` to the application."""

    @app.command("predict")
    def predict(
        source: Annotated[
            Path,
            typer.Option("--input", help="Rows: a .csv, .parquet or .arrow file."),
        ],
        output: Annotated[
            Path,
            typer.Option(help="Where predictions go: a .csv, .parquet or .arrow file."),
        ],
        bundle: Annotated[
            Path, typer.Argument(help="A bundle, or a project that holds artifacts.")
        ] = Path(),
        rejects: Annotated[
            Path | None,
            typer.Option(help="Where bad rows go, as CSV; otherwise OUTPUT.rejects.csv."),
        ] = None,
        keep: Annotated[
            str, typer.Option(help="Columns of the input to copy to the output: id,name,…")
        ] = "",
        json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    ) -> None:
        """Predict every row of a file; bad rows go to a file of their own, with the reason."""

        def action() -> int:
            from windlass.workflows.score import ScoreRequest

            kept = tuple(dict.fromkeys(filter(None, keep.split(","))))
            return _predict(bundle, ScoreRequest.of(source, output, rejects, kept), json=json)

        raise typer.Exit(guarded(action))


def _predict(path: Path, request: "ScoreRequest", *, json: bool) -> int:
    from windlass.engines.load import load_engine
    from windlass.workflows.score import score

    bundle = Bundle.open(find_bundle(path))
    with progress(quiet=json or not sys.stderr.isatty()) as report:
        summary = score(bundle, load_engine(bundle), request, report)
    if json:
        files = {"output": str(request.output), "rejects": str(request.rejects)}
        say_json({**asdict(summary), **files, "model_version": bundle.version})
    else:
        _tell(summary, request)
    if summary.scored:
        return DONE
    say_error(f"Every row was rejected. Read why in {request.rejects}.")
    return REFUSED


def _tell(summary: "ScoreSummary", request: "ScoreRequest") -> None:
    speed = summary.rows / max(summary.seconds, 1e-9)
    say(
        f"Scored {summary.scored:,} of {summary.rows:,} rows in {summary.seconds:.2f} s"
        f" ({speed:,.0f} a second): {request.output}"
    )
    if summary.rejected:
        say(f"Rejected {summary.rejected:,} rows: {request.rejects}")
