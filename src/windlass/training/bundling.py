"""Everything a bundle holds besides its manifest, written into a staged folder."""

from pathlib import Path
from typing import Any

from windlass.core.bundle import MODEL_ONNX, MODEL_PICKLE, EngineRecord, GateRecord
from windlass.core.digest import pretty
from windlass.core.profile import Profile, profile
from windlass.core.target import Classes
from windlass.errors import ParameterError
from windlass.training.card import card
from windlass.training.environment import environment
from windlass.training.golden import golden
from windlass.training.run import Run, predict, sealed_schema


def write_results(run: Run, folder: Path) -> None:
    """The files that must come out the same, byte for byte, from the same arguments."""
    for name, content in results(run).items():
        (folder / name).write_bytes(content)


def results(run: Run) -> dict[str, bytes]:
    """`metrics.json`, `params.json` and, of a classification, `confusion_matrix.json`."""
    files = {
        "metrics.json": pretty(run.evaluation.metrics),
        "params.json": pretty(run.plan.params),
    }
    if run.evaluation.confusion is not None:
        files["confusion_matrix.json"] = pretty(run.evaluation.confusion)
    return files


def write_model(run: Run, compiled: bytes | None, folder: Path) -> None:
    """The fitted pipeline, and the compiled model where there is one. Raises ParameterError."""
    import joblib

    try:
        joblib.dump(run.estimator, folder / MODEL_PICKLE)
    except Exception as error:
        raise ParameterError(
            f"Model {run.plan.candidate.name} cannot be pickled: {type(error).__name__}: {error}."
            " Use no lambda and no local function in build()."
        ) from error
    if compiled is not None:
        (folder / MODEL_ONNX).write_bytes(compiled)


def write_facts(
    run: Run, folder: Path, source: Path, *, engine: EngineRecord, gates: tuple[GateRecord, ...]
) -> None:
    """Schema, profile, golden rows, environment and card. `source` is the project's folder."""
    files: dict[str, Any] = {
        "schema.json": sealed_schema(run.project).model_dump(mode="json"),
        "profile.json": _profile(run).model_dump(mode="json"),
        "golden.json": golden(run),
        "environment.json": environment(source),
    }
    for name, value in files.items():
        (folder / name).write_bytes(pretty(value))
    (folder / "card.md").write_text(card(run, engine, gates), encoding="utf-8")


def _profile(run: Run) -> Profile:
    batch = run.dataset.batch.rows(run.split.train)
    prediction = predict(run.estimator, sealed_schema(run.project), batch)
    target = run.project.target
    classes = target.labels if isinstance(target, Classes) else ()
    return profile(run.project.schema, classes, batch, prediction)
