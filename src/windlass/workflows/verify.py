"""Verifies a bundle: trains again with its parameters and reports what differs, with possible reasons."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windlass.core.bundle import Bundle
from windlass.core.hashing import canonical_json
from windlass.core.holdout import HOLDOUT_FILE, encode_holdout, read_holdout
from windlass.core.progress import ProgressCallback, ignore_progress
from windlass.core.project_loader import ProjectSource, load_project
from windlass.core.row_validator import RowValidator
from windlass.errors import ProjectError, counted
from windlass.settings import Settings
from windlass.training.bundle_files import result_files
from windlass.training.environment import installed_version, read_environment
from windlass.training.plan import TrainingPlan
from windlass.training.run import TrainingRun, predict, run_training
from windlass.workflows.features import resolve_snapshot

_DIGEST_DIGITS = 12  # hex digits of a digest


@dataclass(frozen=True)
class Verification:
    """Result of a verification: the differences, and changes that may have caused them."""

    bundle: Bundle
    differences: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether metrics, parameters, confusion matrix and predictions all came out the same."""
        return not self.differences


def verify(
    bundle_path: Path,
    project_folder: Path | None = None,
    progress: ProgressCallback = ignore_progress,
    settings: Settings | None = None,
) -> Verification:
    """Train again with the bundle's parameters, in memory, and compare.

    The project is looked for in `project_folder`, else above the bundle, else in the current folder.
    `settings` find the feature store, where the project has a view; the very snapshot is read again.
    Raises BundleError for an incomplete or changed bundle, ProjectError, ParameterError, DataError or
    FeatureError where the project cannot be trained any more.
    """
    progress(0.0, f"Checking the files of {bundle_path}")
    bundle = Bundle.open(bundle_path)
    project, source = load_project(project_folder or _find_project_folder(bundle_path))
    if project.name != bundle.manifest.project:
        raise ProjectError(
            f"{bundle_path} is a bundle of project {bundle.manifest.project!r}, and {source.folder} declares"
            f" {project.name!r}. Name the right folder with --project."
        )
    plan = TrainingPlan.from_params(project, bundle.json("params.json"))
    plan, rows = resolve_snapshot(project, plan, settings or Settings.read(near=[source.folder]))
    run = run_training(project, plan, progress, rows)
    progress(0.9, "Comparing")
    differences = (
        *_compare_files(bundle, run),
        *_compare_predictions(bundle, run),
        *_compare_holdout(bundle, run),
    )
    reasons = tuple(_reasons(bundle, run, source)) if differences else ()
    progress(1.0, "Done")
    return Verification(bundle, differences, reasons)


def _find_project_folder(bundle_path: Path) -> Path:
    for folder in (*bundle_path.resolve().parents, Path.cwd()):
        if (folder / "project.py").is_file():
            return folder
    raise ProjectError(
        f"No project.py above {bundle_path}, nor in the current folder. Name its folder with --project."
    )


def _compare_files(bundle: Bundle, run: TrainingRun) -> Iterator[str]:
    for name, content in result_files(run).items():
        if name not in bundle.manifest.files:
            yield f"{name} is new: the bundle has none."
            continue
        before = bundle.read(name)
        if before != content:
            yield f"{name}: {_describe_changes(json.loads(before), json.loads(content))}."


def _describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Describe which values of a flat JSON object changed."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    changes = [f"{name} is {now.get(name)}, was {before.get(name)}" for name in names]
    return "; ".join(changes) or "the same values, in another form"


def _compare_predictions(bundle: Bundle, run: TrainingRun) -> Iterator[str]:
    schema = run.schema
    if schema != bundle.schema:
        yield "schema.json: the project declares another row or target now."
        return
    examples = bundle.json("golden.json")
    validator = RowValidator(schema.row)
    batch = validator.to_batch(validator.parse_rows(canonical_json(examples["rows"])))
    now = run.target.expected(predict(run.estimator, schema, batch))
    changed = [
        index
        for index, pair in enumerate(zip(now, examples["expected"], strict=True))
        if pair[0] != pair[1]
    ]
    if changed:
        yield (
            f"Predictions: {len(changed)} of {len(now)} reference examples get another prediction; the first is row"
            f" {changed[0]}: {now[changed[0]]}, was {examples['expected'][changed[0]]}."
        )


def _compare_holdout(bundle: Bundle, run: TrainingRun) -> Iterator[str]:
    """Compare all test rows, not only the reference examples; bundles of early versions hold no test rows."""
    before, now = read_holdout(bundle), run.holdout
    if before is None or run.schema != bundle.schema:
        return
    if bundle.read(HOLDOUT_FILE) == encode_holdout(now):
        return
    if before.rows.tobytes() != now.rows.tobytes():
        yield f"{HOLDOUT_FILE}: other rows are held out: {len(now)} of them, there were {len(before)}."
    else:
        yield f"{HOLDOUT_FILE}: some of {counted(len(now), 'test row')} have another truth or get another prediction."


def _reasons(bundle: Bundle, run: TrainingRun, source: ProjectSource) -> Iterator[str]:
    causes = [*_input_changes(bundle, run, source), *_environment_changes(bundle, source)]
    yield from causes
    if not causes:
        yield (
            "Nothing that the bundle records has changed: the training itself is not repeatable."
            " Pass the seed to everything random in build(), and fix the number of threads."
        )


def _input_changes(bundle: Bundle, run: TrainingRun, source: ProjectSource) -> Iterator[str]:
    before = bundle.manifest.data_digest
    if run.dataset.digest != before:
        yield f"The data changed: digest {run.dataset.digest[:_DIGEST_DIGITS]}, was {before[:_DIGEST_DIGITS]}."
    digest = bundle.manifest.source_digest
    if digest is not None and digest != source.digest:
        yield f"project.py changed: digest {source.digest[:_DIGEST_DIGITS]}, was {digest[:_DIGEST_DIGITS]}."


def _environment_changes(bundle: Bundle, source: ProjectSource) -> Iterator[str]:
    before, now = bundle.json("environment.json"), read_environment(source.folder)
    for name in ("windlass", "python", "implementation", "platform", "commit"):
        if before.get(name) != now[name]:
            yield f"{name} is {now[name]}, was {before.get(name)}."
    for name, sealed in before.get("packages", {}).items():
        installed = installed_version(name)
        if installed != sealed:
            yield f"Package {name} is {installed or 'not installed'}, was {sealed}."
