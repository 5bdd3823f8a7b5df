"""Tries every estimator through a training, and writes into docs/models.md what is exact, native or refused.

`python -m benchmarks.coverage [NAME ...] [--jobs N]`: with names, only these are tried, and the table is printed.
Beside each stands what skl2onnx makes of the fitted estimator alone, on the same rows after the steps before it.
"""

import argparse
import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.coverage_cases import TEXT, Case, cases, project, table

from windlass.core.batch import Prediction
from windlass.core.progress import ignore_progress
from windlass.core.row_schema import MISSING_TEXT
from windlass.engines.native import NativeEngine
from windlass.engines.onnx import OnnxEngine
from windlass.errors import WindlassError
from windlass.training.plan import TrainingRequest, resolve_plan
from windlass.training.run import TrainingRun, run_training
from windlass.workflows.train import convert_run

DOCS = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
TOLERANCE = 1e-6
MAX_REASON = 110  # characters of a reason in the table


@dataclass(frozen=True)
class Result:
    """Outcome of one estimator on one task: `exact`, `native`, `refused`, `wrong` or `traceback`, and why.

    `peer` says what skl2onnx makes of it: `equal`, `differs` or `fails`.
    """

    name: str
    task: str
    outcome: str
    reason: str
    peer: str


def try_case(case: Case, *, with_peer: bool = True) -> Result:
    """Train, convert, and compare both engines on rows that neither has seen."""
    run: TrainingRun | None = None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            declared = project(case)
            plan = resolve_plan(declared, TrainingRequest(Path()))
            run = run_training(declared, plan, ignore_progress)
            outcome, reason = _outcome(case, run)
        except WindlassError as error:
            outcome, reason = "refused", str(error)
        except Exception as error:  # noqa: BLE001 - the fault that this table is to show
            outcome, reason = "traceback", f"{type(error).__name__}: {error}"
        peer = _peer(case, run) if with_peer and run is not None else "fails"
    return Result(case.name, case.task, outcome, " ".join(reason.split()), peer)


def _outcome(case: Case, run: TrainingRun) -> tuple[str, str]:
    model, record = convert_run(run)
    if model is None:
        return "native", record.reason or ""
    schema = run.schema
    from windlass.training.dataset import read_dataset

    other = read_dataset(_with_rows(case, seed=1)).batch
    differences = _differences(
        NativeEngine(run.estimator, schema).predict(other), OnnxEngine(model).predict(other)
    )
    return ("wrong", f"{differences} rows differ") if differences else ("exact", "")


def _with_rows(case: Case, seed: int) -> Any:
    declared = project(case)
    object.__setattr__(declared, "data", lambda: table(case.task, seed))
    return declared


def _differences(expected: Prediction, actual: Prediction) -> int:
    finite = expected.finite_rows()
    differs = finite != actual.finite_rows()
    if expected.values is None:
        differs |= finite & (expected.labels != actual.labels)
        pair = expected.probabilities, actual.probabilities
    else:
        pair = expected.values, actual.values
    differs |= finite & (_distance(*pair) > TOLERANCE)
    return int(differs.sum())


def _distance(expected: Any, actual: Any) -> Any:
    """Return the largest difference of each row [n], relative above 1."""
    first, second = (
        np.asarray(a, np.float64).reshape(len(expected), -1) for a in (expected, actual)
    )
    return (np.abs(first - second) / np.maximum(1.0, np.abs(first))).max(axis=1, initial=0.0)


def _peer(case: Case, run: TrainingRun) -> str:
    """Return what skl2onnx makes of the estimator alone, in float64 and else in float32."""
    frame = pd.concat([run.dataset.frame, _frame(case, seed=1)], ignore_index=True)
    best = "fails"
    try:
        model, rows = _fitted_step(case, run.estimator, frame)
    except Exception:  # noqa: BLE001 - a step without a transform has no converter either
        return best
    for kind in ("DoubleTensorType", "FloatTensorType"):
        try:
            outputs = _run_peer(model, rows, "StringTensorType" if case.estimator in TEXT else kind)
        except Exception:  # noqa: BLE001 - it raises whatever its converters raise
            continue
        if _equals_peer(model, rows, outputs):
            return "equal"
        best = "differs"
    return best


def _frame(case: Case, seed: int) -> pd.DataFrame:
    from windlass.training.dataset import read_dataset

    return read_dataset(_with_rows(case, seed)).frame


def _fitted_step(case: Case, pipeline: Any, frame: pd.DataFrame) -> tuple[Any, Any]:
    """Return the estimator that is tried, and its rows after the steps before it."""
    if case.kind != "transformer":
        model = pipeline.steps[-1][1]
        return getattr(model, "booster_", model), pipeline[:-1].transform(frame)
    columns = pipeline.steps[0][1]
    _, step, names = next(part for part in columns.transformers_ if part[0] == "tried")
    if not hasattr(step, "steps"):
        rows = frame[names]
        return step, rows if rows.ndim == 1 else rows.to_numpy()
    return step.steps[-1][1], step[:-1].transform(frame[names])


def _run_peer(model: Any, rows: Any, kind: str) -> list[Any]:
    import onnxruntime
    import skl2onnx
    from skl2onnx.common import data_types

    values = (
        rows.to_numpy(object).reshape(-1, 1) if isinstance(rows, pd.Series) else np.asarray(rows)
    )
    if values.dtype == object:
        kind, values = "StringTensorType", np.where(pd.isna(values), MISSING_TEXT, values)
    elif kind == "FloatTensorType":
        values = values.astype(np.float32)
    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    types = [("rows", getattr(data_types, kind)([None, values.shape[1]]))]
    made = skl2onnx.to_onnx(model, initial_types=types, options=options)
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs: list[Any] = session.run(None, {"rows": values})
    return outputs


def _equals_peer(model: Any, rows: Any, outputs: list[Any]) -> bool:
    if hasattr(model, "predict_proba"):
        same = np.array_equal(np.asarray(model.predict(rows)).ravel(), np.ravel(outputs[0]))
        return same and bool(_distance(model.predict_proba(rows), outputs[1]).max() <= TOLERANCE)
    expected = model.predict(rows) if not hasattr(model, "transform") else model.transform(rows)
    dense = expected.toarray() if hasattr(expected, "toarray") else np.asarray(expected)
    try:
        return bool(_distance(dense, outputs[0]).max() <= TOLERANCE)
    except ValueError:
        return False


def render(results: Sequence[Result]) -> str:
    """Return the table as Markdown, with a line of totals below it."""
    lines = ["| estimator | data | Windlass | skl2onnx |", "|---|---|---|---|"]
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for result in results:
        key = (result.name, result.outcome, _short(result.reason), result.peer)
        groups.setdefault(key, []).append(result.task)
    for (name, outcome, reason, peer), tasks in sorted(
        groups.items(), key=lambda g: g[0][0].lower()
    ):
        cell = f"{outcome}: {reason}" if reason else outcome
        lines.append(f"| {name} | {', '.join(tasks)} | {cell} | {peer} |")
    return "\n".join([*lines, "", total(results)])


def total(results: Sequence[Result]) -> str:
    """Return one line of counts."""
    counts = dict.fromkeys(("exact", "native", "refused", "wrong", "traceback"), 0)
    peers = dict.fromkeys(("equal", "differs", "fails"), 0)
    for result in results:
        counts[result.outcome] += 1
        peers[result.peer] += 1
    converted = peers["equal"] + peers["differs"]
    names = {result.name for result in results}
    return (
        f"**Total**: {len(names)} estimators, {len(results)} trainings: {counts['exact']} exact,"
        f" {counts['native']} native, {counts['refused']} refused, {counts['wrong']} wrong,"
        f" {counts['traceback']} tracebacks. skl2onnx converts {converted} of them, {peers['equal']} equal."
    )


def _short(reason: str) -> str:
    text = reason.replace("|", "\\|").replace("<", "&lt;")
    text = text.removeprefix("Fitting model tried failed: ")
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1].rstrip() + "…"


def _all_results(chosen: Sequence[Case], jobs: int, file: Path | None) -> list[Result]:
    """Return the results of all cases; those that the file has already are not tried again."""
    lines = file.read_text("utf-8").splitlines() if file is not None and file.exists() else []
    done = {
        (result.name, result.task): result
        for result in (Result(*json.loads(line)) for line in lines)
    }
    left = [case for case in chosen if (case.name, case.task) not in done]
    with ProcessPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(try_case, case) for case in left]):
            result = future.result()
            done[result.name, result.task] = result
            if file is not None:
                with file.open("a", encoding="utf-8") as output:
                    output.write(json.dumps(astuple(result)) + "\n")
    return [done[case.name, case.task] for case in chosen]


def main(arguments: Sequence[str] | None = None) -> None:
    """Try the estimators; write the table into the page, or print it where some are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--results", type=Path, help="file of results, to go on after an interruption"
    )
    options = parser.parse_args(arguments)
    chosen = list(cases(frozenset(options.names) or None))
    results = _all_results(chosen, options.jobs, options.results)
    if options.names:
        print(render(results))
        return
    page = DOCS.read_text("utf-8")
    head, tail = page.partition(BEGIN)[0], page.partition(END)[2]
    DOCS.write_text(f"{head}{BEGIN}\n{render(results)}\n{END}{tail}", "utf-8")
    print(total(results))


if __name__ == "__main__":
    main()
