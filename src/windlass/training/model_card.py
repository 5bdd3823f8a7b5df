"""Renders the model card of a bundle as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from windlass.core.bundle import EngineRecord, GateRecord
from windlass.core.evaluation_rules import GroupSplit, SplitRule
from windlass.core.leading_metrics import order_metrics
from windlass.core.row_schema import ColumnSchema, RowSchema
from windlass.core.targets.classes import Classes
from windlass.core.targets.target import class_key
from windlass.errors import counted
from windlass.training.run import TrainingRun

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def render_model_card(run: TrainingRun, engine: EngineRecord, gates: Iterable[GateRecord]) -> str:
    """Return what `card.md` holds, with the headings of Mitchell et al. (2019), Model Cards for Model Reporting."""
    parts = [
        _heading(run),
        _data(run),
        _data_checks(run),
        _metrics(run),
        _confusion(run),
        _calibration(run),
        _fairness(run),
        _gates(gates),
        _engine(engine),
        _warnings(run),
        _use(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(run: TrainingRun) -> str:
    settings = ", ".join(f"{name} = {value}" for name, value in run.plan.hyperparameters.items())
    about = (run.project.description or run.project.schema.description or "").strip()
    model = f"**Model:** {run.plan.candidate.name} ({settings or 'no hyperparameters'})"
    text = "\n\n".join(part for part in (f"# {run.project.name}", about, model) if part)
    purpose = (type(run.plan.candidate).__doc__ or "").strip().splitlines()
    return f"{text}. {purpose[0]}" if purpose else text


def _data(run: TrainingRun) -> str:
    sizes = (
        f"{counted(len(run.split.train), 'row')} for training, {len(run.split.test)} for the test"
    )
    if len(run.split.validation):
        sizes += f", {len(run.split.validation)} for early stopping"
    return (
        f"## Data\n\n{counted(len(run.dataset), 'row')}: {sizes}, {_split(run)}.{_read(run)}"
        f" Digest of the data: `{run.dataset.digest}`.\n\n" + _columns(run.project.schema)
    )


def _data_checks(run: TrainingRun) -> str:
    if not run.checks.findings:
        return "## Data checks\n\nNo leak, duplicate or other fault was found in the data before the fit."
    rows = [
        (f"`{finding.name}`", finding.message, "accepted" if finding.accepted else "OPEN")
        for finding in run.checks.findings
    ]
    return "## Data checks\n\n" + _table(("Finding", "What it means", "Project"), rows)


def _split(run: TrainingRun) -> str:
    if run.split.method == "declared":
        return _declared_split(run.project.split or GroupSplit(run.target.group or ""))
    if run.split.method == "content":
        return "split by their content, so that every version holds out the same rows"
    how = "stratified by class" if isinstance(run.project.target, Classes) else "at random"
    together = "" if run.dataset.equal_by_chance else ", rows of equal content on one side"
    return f"split {how} under seed {run.plan.seed}{together}"


def _declared_split(rule: SplitRule) -> str:
    if rule.column is not None:
        return f"split as `{rule.column}` says"
    if rule.time is None:
        return f"split by `{rule.group}`: the test rows are of other groups than the training rows"
    if rule.group is None:
        return f"split by `{rule.time}`: the test rows are later than the training rows"
    return (
        f"split by `{rule.group}` and `{rule.time}`: the test rows are of other groups than the training"
        " rows, and later; what is of a held-out group but early, or of another but late, is left out"
    )


def _read(run: TrainingRun) -> str:
    view = run.project.view
    if view is None:
        return ""
    return (
        f" Features of the view `{view.name}`, version `{run.plan.view}`, as they were known at each event:"
        f" snapshot {run.plan.snapshot}."
    )


def _columns(schema: RowSchema) -> str:
    rows = [
        (column.name, column.kind, _allowed(column), column.description or "")
        for column in schema.columns
    ]
    return _table(("Column", "Kind", "Allowed", "Meaning"), rows)


def _allowed(column: ColumnSchema) -> str:
    limits = [f"{_SIGNS[keyword]} {_format_limit(limit)}" for keyword, limit in column.bounds()]
    if column.categories is not None:
        limits.append(", ".join(column.categories))
    if column.unit:
        limits.append(f"in {column.unit}")
    if column.nullable:
        limits.append("or missing")
    return ", ".join(limits) or "any"


def _format_limit(limit: object) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _metrics(run: TrainingRun) -> str:
    rules = (str(gate) for gate in run.project.gates)
    metrics = order_metrics(run.evaluation.metrics, rules)
    rows = [(name, f"{value:.4g}") for name, value in metrics.items()]
    note = ""
    if "accuracy" in run.evaluation.metrics:
        note = " `accuracy_low` and `accuracy_high` are its 95% interval (Wilson)."
    if "majority_share" in run.evaluation.metrics:
        note += " `majority_share` is the accuracy of always predicting the most frequent class."
    if "roc_auc" in run.evaluation.metrics and isinstance(run.project.target, Classes):
        note += f" The positive class is {class_key(run.project.target.labels[1])}."
    return f"## Metrics\n\nOn the test rows.{note}\n\n" + _table(("Metric", "Value"), rows)


def _confusion(run: TrainingRun) -> str:
    confusion = run.evaluation.confusion
    if confusion is None:
        return ""
    if "matrix" in confusion:
        return f"## Confusion matrix\n\n{_matrix(confusion)}"
    parts = (f"Of `{name}`:\n\n{_matrix(matrix)}" for name, matrix in confusion.items())
    return "## Confusion matrices\n\n" + "\n\n".join(parts)


def _matrix(confusion: Mapping[str, Any]) -> str:
    names = [class_key(label) for label in confusion["labels"]]
    rows = [(name, *counts) for name, counts in zip(names, confusion["matrix"], strict=True)]
    return _table(("True \\ predicted", *names), rows)


def _calibration(run: TrainingRun) -> str:
    curve = run.evaluation.calibration
    if curve is None:
        return ""
    rows = [
        (
            f"{part['from']:.4f} to {part['to']:.4f}",
            part["rows"],
            f"{part['predicted']:.4f}",
            f"{part['observed']:.4f} ({part['observed_low']:.4f} to {part['observed_high']:.4f})",
        )
        for part in curve["bins"]
    ]
    header = ("Predicted probability", "Rows", "Mean", "Observed, with its 95% interval")
    return "## Calibration\n\nDoes it happen as often as predicted?\n\n" + _table(header, rows)


def _fairness(run: TrainingRun) -> str:
    slices = run.evaluation.fairness
    if slices is None:
        return ""
    names = " and ".join(f"`{name}`" for name in slices)
    text = (
        f"## Fairness\n\nHow rows are treated by {names}. These are no features: the model is not shown them,"
        " though its features may correlate with them. Look for recalls and false positive rates that are far apart."
    )
    header = ("Rows", "Base rate", "Mean probability", "Predicted positive", "Recall",
              "False positive rate", "ROC AUC")  # fmt: skip
    for name, parts in slices.items():
        rows = [[_cell(value) for value in part.values()] for part in parts]
        text += "\n\n" + _table((f"`{name}`", *header), rows)
    return text


def _cell(value: object) -> object:
    return f"{value:.4f}" if isinstance(value, float) else "none" if value is None else value


def _gates(gates: Iterable[GateRecord]) -> str:
    rows = [
        (
            gate.rule,
            "not measured" if gate.value is None else f"{gate.value:.4g}",
            "passed" if gate.passed else "FAILED",
        )
        for gate in gates
    ]
    if not rows:
        return "## Gates\n\nThe project declares none."
    return "## Gates\n\n" + _table(("Rule", "Value", "Verdict"), rows)


def _engine(engine: EngineRecord) -> str:
    text = f"## Engine\n\nServed by: {engine.name}."
    if engine.reason:
        text += f" {engine.reason}"
    if engine.equality is not None:
        equal = engine.equality
        text += (
            f"\n\nThe compiled model was compared with the fitted pipeline on {counted(equal.rows, 'row')}: largest"
            f" difference {equal.max_difference:.3g} (tolerated {equal.tolerance:g}),"
            f" {counted(equal.labels_changed, 'label')} changed."
        )
    return text


def _warnings(run: TrainingRun) -> str:
    if not run.warnings:
        return ""
    return "## Warnings\n\n" + "\n".join(f"- {text}" for text in run.warnings)


def _use(run: TrainingRun) -> str:
    return (
        "## Use and limits\n\n"
        f"Meant for rows such as those described above, to predict `{run.project.target.name}`. The metrics"
        " hold for data drawn as the test rows were; they say nothing of other populations, and the model"
        " does not know when it is asked about one. Watch for drift against `profile.json`."
    )


def _table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: Iterable[Any]) -> str:
    return (
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    )
