"""Prints the result of a training: as text for people, as JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.cli.console import echo, echo_error, echo_facts, echo_json
from windlass.core.bundle import MODEL_PICKLE
from windlass.core.data_checks import Finding, read_data_checks
from windlass.core.gates import GateResult
from windlass.core.leading_metrics import leading_metrics, majority_share
from windlass.errors import counted

if TYPE_CHECKING:
    from windlass.core.bundle import Bundle
    from windlass.jobs.job import Job
    from windlass.workflows.train import TrainingResult

_LABELS = {
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "brier": "Brier",
    "cost_per_row": "cost per row",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
}
_SHARES = frozenset({"accuracy", "macro_f1", "roc_auc", "average_precision"})  # from 0 to 1


@dataclass(frozen=True)
class TrainingReport:
    """Result of a training; without a registry `version` is the bundle's own, and `stage` is None."""

    project: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    findings: Sequence[Mapping[str, Any]]
    gates: Sequence[Mapping[str, Any]]
    engine: Mapping[str, Any]
    version: str
    stage: str | None
    job_id: str | None
    bundle: str
    digest: str
    data_digest: str
    artifacts: str | None
    warnings: Sequence[str] = field(default=())
    tracked: str | None = None
    untracked: str | None = None
    rules: Sequence[str] = field(
        default=()
    )  # the gates as text, whose metrics lead; not in the JSON

    @classmethod
    def from_result(cls, result: "TrainingResult") -> "TrainingReport":
        """Returns the report of a training without a registry."""
        return replace(
            cls._from_bundle(result.bundle),
            warnings=result.warnings,
            tracked=result.tracked,
            untracked=result.untracked,
        )

    @classmethod
    def from_job(cls, job: "Job", bundle: "Bundle", artifacts: Path | None) -> "TrainingReport":
        """Returns the report of a job that succeeded, with the bundle of the version that it made."""
        result = job.result or {}
        return replace(
            cls._from_bundle(bundle),
            gates=result["gates"],
            version=result["version"],
            stage=result["stage"],
            job_id=job.id,
            artifacts=None if artifacts is None else str(artifacts),
            warnings=result.get("warnings", ()),
            tracked=result.get("tracked"),
            untracked=result.get("untracked"),
        )

    @classmethod
    def _from_bundle(cls, bundle: "Bundle") -> "TrainingReport":
        manifest, checks = bundle.manifest, read_data_checks(bundle)
        return cls(
            project=manifest.project,
            params=bundle.json("params.json"),
            metrics=bundle.json("metrics.json"),
            findings=[] if checks is None else checks.model_dump()["findings"],
            gates=[gate.model_dump() for gate in manifest.gates],
            engine=manifest.engine.model_dump(),
            version=bundle.version,
            stage=None,
            job_id=None,
            bundle=manifest.files[MODEL_PICKLE][:12],  # what it is called without a registry
            digest=bundle.digest,
            data_digest=manifest.data_digest,
            artifacts=str(bundle.path),
            rules=bundle.rules,
        )

    def print(self, *, as_json: bool) -> None:
        """Prints the report for people, or as JSON and nothing else."""
        if as_json:
            echo_json({name: value for name, value in asdict(self).items() if name != "rules"})
            return
        for text in self.warnings:
            echo_error(f"warning: {text}")
        if self.untracked is not None:
            echo_error(f"warning: {self.untracked}")
        echo_facts(self._facts())
        if any(gate.blocks_approval for gate in self._gates):
            kind = "bundle" if self.stage is None else "version"
            echo(f"Not every gate passed: this {kind} cannot be approved.")
        elif self.stage == "candidate":
            command = f'windlass approve {self.project} {self.version} --reason "…"'
            echo(f"{self.version} waits for a decision: {command}")

    @property
    def _gates(self) -> list[GateResult]:
        return [GateResult(**gate) for gate in self.gates]

    def _facts(self) -> list[tuple[str, str]]:
        params = dict(self.params)
        model = params.pop("model")
        facts = [] if self.stage is None else [("version", f"{self.version} ({self.stage})")]
        facts += [
            ("model", str(model)),
            ("hyperparameters", ", ".join(f"{name} = {value}" for name, value in params.items())),
            *_metric_facts(self.metrics, self.rules),
            *finding_facts(self.findings),
            *(
                ("gate", f"{gate.rule}: {gate.verdict}{_in_brackets(gate.note)}")
                for gate in self._gates
            ),
            ("engine", self.engine["name"] + _in_brackets(self.engine.get("reason"))),
        ]
        if self.artifacts is not None:
            facts.append(("artifacts", str(self.artifacts)))
        facts.append(("digest", self.digest))
        if self.tracked is not None:
            facts.append(("tracked", self.tracked))
        return facts


def finding_facts(findings: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Returns a line for each finding of the data checks: its name, whether it is accepted, and what it means."""
    lines = []
    for finding in map(Finding.model_validate, findings):
        accepted = " (accepted)" if finding.accepted else ""
        lines.append(("finding", f"{finding.name}{accepted}: {finding.message}"))
    return lines


def _in_brackets(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _metric_facts(metrics: Mapping[str, float], rules: Sequence[str]) -> list[tuple[str, str]]:
    """Returns a line for each leading metric, those of the gates first."""
    return [
        (_LABELS.get(name, name), _format_metric(metrics, name))
        for name in leading_metrics(metrics, rules)
    ]


def _format_metric(metrics: Mapping[str, float], name: str) -> str:
    """Formats a metric with what it has to be read with: its interval, or the share that a trivial model gets."""
    value = metrics[name]
    text = f"{value:,.4g}" if abs(value) >= 1 or abs(value) < 0.001 else f"{value:.4f}"
    if name in _SHARES:
        text = f"{value:.4f}"
    return text + _in_brackets(_note(metrics, name))


def _note(metrics: Mapping[str, float], name: str) -> str:
    if name.endswith("accuracy"):
        return _accuracy_note(metrics, name.removesuffix("accuracy"))
    rows = counted(int(metrics.get("test_rows", 0)), "test row")
    if name in {"roc_auc", "average_precision"} and "base_rate" in metrics:
        return f"{metrics['base_rate']:.2%} of {rows} are positive"
    if name == "threshold" and "recall_at_threshold" in metrics:
        rates = (metrics["recall_at_threshold"], metrics["precision_at_threshold"])
        return f"recall {rates[0]:.1%}, precision {rates[1]:.1%}"
    if name == "cost_per_row" and "cost_accepting_all" in metrics:
        return f"{metrics['cost_accepting_all']:.4g} if all are predicted negative"
    return ""


def _accuracy_note(metrics: Mapping[str, float], prefix: str) -> str:
    low, high = (metrics.get(f"{prefix}accuracy_{end}") for end in ("low", "high"))
    share = majority_share(metrics, f"{prefix}accuracy")
    parts = [] if low is None or high is None else [f"95% interval {low:.3f} to {high:.3f}"]
    if parts and "test_rows" in metrics:
        parts.append(counted(int(metrics["test_rows"]), "test row"))
    if share is not None:
        parts.append(f"always the most frequent class: {share:.4f}")
    return ", ".join(parts)
