"""`windlass predict`: predictions for a file of rows."""

import re
import sys
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.cli.console import (
    DONE,
    FAILED,
    Json,
    add_command,
    echo,
    echo_error,
    echo_json,
    fail_usage,
    progress,
)
from windlass.cli.context import (
    AllowPickle,
    Master,
    ScoredVersion,
    require_spark_engine,
    split_arguments,
)
from windlass.core.bundle_trust import BundleTrust
from windlass.core.progress import ProgressCallback
from windlass.errors import BrokenLineError, counted
from windlass.settings import Settings
from windlass.workflows.scoring.scored_bundle import resolve_scored_bundle

if TYPE_CHECKING:
    from windlass.core.bundle import Bundle
    from windlass.workflows.scoring.request import ScoreRequest, ScoreSummary


class ScoreTarget(StrEnum):
    """Engine that scores the rows."""

    LOCAL = "local"
    SPARK = "spark"


Rejects = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="CSV file for invalid rows.", show_default="OUTPUT.rejects.csv"
    ),
]
Keep = Annotated[
    str,
    typer.Option(metavar="COLUMNS", help="Columns of the input to copy to the output: id,name,…"),
]
MaxRejects = Annotated[
    str,
    typer.Option(
        metavar="N or SHARE",
        help="How many rows may be rejected before the exit code is 1: 20, 0.01 or 1%.",
    ),
]
Lenient = Annotated[
    bool,
    typer.Option(
        "--lenient",
        help="Reject lines of CSV that are not rows, one by one, instead of the whole file.",
    ),
]


def register(app: typer.Typer) -> None:
    """Adds `predict` to the application."""
    add_command(app, "predict", predict)


def predict(  # noqa: PLR0913, PLR0917 - every option is an argument
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Rows: a .csv, .parquet, .arrow or .xlsx file. For Spark .parquet, or a folder of them.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File for the predictions: .csv, .parquet or .arrow. With Spark a folder, NAME.parquet.",
        ),
    ],
    arguments: ScoredVersion = None,
    rejects: Rejects = None,
    keep: Keep = "",
    max_rejects: MaxRejects = "0",
    lenient: Lenient = False,
    engine: Annotated[
        ScoreTarget, typer.Option(help="Score on this machine, or on a Spark cluster.")
    ] = ScoreTarget.LOCAL,
    master: Master = None,
    allow_pickle: AllowPickle = False,
    json: Json = False,
) -> int:
    """Predict every row of a file; invalid rows are written to a file of their own, with the reason."""
    from windlass.workflows.scoring.request import ScoreRequest

    usage = "windlass predict [BUNDLE or PROJECT] [VERSION] --input FILE --output FILE"
    target, names = split_arguments(arguments, usage)
    require_spark_engine(engine, master)
    columns = tuple(dict.fromkeys(filter(None, keep.split(","))))
    allowed = RejectLimit.parse(max_rejects)
    request = ScoreRequest.from_paths(source, output, rejects, columns, lenient=lenient)
    bundle = _resolve_bundle(target, names, allow_pickle=allow_pickle)
    with progress(quiet=json or not sys.stderr.isatty()) as report:
        try:
            if engine is ScoreTarget.LOCAL:
                summary = _score_here(bundle, request, report)
            else:
                summary = _score_on_spark(bundle, request, master, report)
        except BrokenLineError as error:
            advice = "Or reject such lines one by one: --lenient."
            raise BrokenLineError(f"{error} {advice}", error.reason) from error
    if summary.ignored_columns:
        columns_ignored = ",".join(summary.ignored_columns)
        echo_error(
            f"Columns that {bundle.schema.row.title} does not have are ignored: {columns_ignored}. Copy them to the"
            f" output with --keep {columns_ignored}."
        )
    if json:
        files = {"output": str(request.output), "rejects": str(request.rejects)}
        echo_json({**asdict(summary), **files, "model_version": bundle.version})
    else:
        _print_summary(summary, request, bundle)
    return _exit_code(summary, request, allowed)


@dataclass(frozen=True)
class RejectLimit:
    """How many rows may be rejected: a number of rows, or a share of all, 0 to 1."""

    rows: int = 0
    share: float = 0.0

    @staticmethod
    def parse(text: str) -> "RejectLimit":
        """Reads `20` as rows, and `1%` and `0.01` as a share.

        Exits with code 2 for every other text, such as `1.0`, which may be one row or all.
        """
        if re.fullmatch(r"[0-9]{1,18}", text):
            return RejectLimit(rows=int(text))
        if re.fullmatch(r"[0-9]{1,3}([.][0-9]+)?%", text) and float(text[:-1]) <= 100:
            return RejectLimit(share=float(text[:-1]) / 100)
        if not re.fullmatch(r"0?[.][0-9]+", text):
            fail_usage(
                f"--max-rejects {text!r} is neither a number of rows (20) nor a share of them (0.01 or 1%)."
            )
        return RejectLimit(share=float(text))

    def allows(self, rejected: int, rows: int) -> bool:
        """Whether so many of the rows may be rejected."""
        return rejected <= max(self.rows, self.share * rows)


def _exit_code(summary: "ScoreSummary", request: "ScoreRequest", limit: RejectLimit) -> int:
    if not summary.scored:
        echo_error(f"Every row was rejected. Read why in {request.rejects}.")
        return FAILED
    if limit.allows(summary.rejected, summary.rows):
        return DONE
    echo_error(
        f"Rejected {summary.rejected:,} of {counted(summary.rows, 'row')}. Read why in {request.rejects}, or"
        " allow it with --max-rejects."
    )
    return FAILED


def _resolve_bundle(target: Path, names: list[str], *, allow_pickle: bool) -> "Bundle":
    """Opens the bundle to score with; a line says what speaks against its version."""
    settings = Settings.read(near=[target])
    allowed = settings.allow_pickle or allow_pickle
    trust = BundleTrust.from_settings(replace(settings, allow_pickle=allowed))
    scored = resolve_scored_bundle(target, names, trust)
    if scored.warning is not None:
        echo_error(scored.warning)
    return scored.bundle


def _score_here(
    bundle: "Bundle", request: "ScoreRequest", report: ProgressCallback
) -> "ScoreSummary":
    from windlass.engines.loader import load_engine
    from windlass.workflows.scoring.local import score

    return score(bundle, load_engine(bundle), request, report)


def _score_on_spark(
    bundle: "Bundle", request: "ScoreRequest", master: str | None, report: ProgressCallback
) -> "ScoreSummary":
    from windlass.workflows.scoring.spark import score_on_spark

    return score_on_spark(bundle, request, master, report)


def _print_summary(summary: "ScoreSummary", request: "ScoreRequest", bundle: "Bundle") -> None:
    speed = summary.rows / max(summary.seconds, 1e-9)
    echo(
        f"Scored {summary.scored:,} of {counted(summary.rows, 'row')} in {summary.seconds:.2f} s"
        f" ({speed:,.0f} a second) with {bundle.version}: {request.output}"
    )
    if summary.rejected:
        echo(f"Rejected {counted(summary.rejected, 'row')}: {request.rejects}")
