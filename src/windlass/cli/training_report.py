"""Prints the result of a training: as text for people, as JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.cli.console import echo, echo_error, echo_facts, echo_json
from windlass.core.bundle import MODEL_PICKLE
from windlass.core.data_checks import Finding, read_data_checks
from windlass.core.gates import GateResult
from windlass.core.metrics import ROW_COUNTS
from windlass.errors import counted

if TYPE_CHECKING:
    from windlass.core.bundle import Bundle
    from windlass.jobs.job import Job
    from windlass.workflows.train import TrainingResult

# metrics of a target of several parts that only metrics.json and the model card have
_DETAILS = ("accuracy_low", "accuracy_high", "_precision_", "_recall_", "_f1_")


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
        )

    def print(self, *, as_json: bool) -> None:
        """Prints the report for people, or as JSON and nothing else."""
        if as_json:
            echo_json(asdict(self))
            return
        for text in self.warnings:
            echo_error(f"warning while fitting: {text}")
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
            *_metric_facts(self.metrics),
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


def _metric_facts(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    if "accuracy" not in metrics and "r2" not in metrics:
        return [
            (name, f"{value:,.4g}")
            for name, value in metrics.items()
            if name not in ROW_COUNTS and not any(part in name for part in _DETAILS)
        ]
    if "accuracy" not in metrics:
        names = {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}
        return [(label, f"{metrics[name]:,.4g}") for name, label in names.items()]
    interval = f"95% interval {metrics['accuracy_low']:.3f} to {metrics['accuracy_high']:.3f}"
    rows = counted(int(metrics["test_rows"]), "test row")
    return [
        *_rare_class_facts(metrics),
        ("accuracy", f"{metrics['accuracy']:.4f} ({interval}, {rows})"),
        ("macro F1", f"{metrics['macro_f1']:.4f}"),
    ]


def _rare_class_facts(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """Returns the metrics that matter where the positive class is rare and costs are declared."""
    if "cost_per_row" not in metrics:
        return []
    positives = f"{metrics['base_rate']:.2%} of {counted(int(metrics['test_rows']), 'test row')} are positive"
    threshold = f"{metrics['threshold']:.4f}"
    rates = f"recall {metrics['recall_at_threshold']:.1%}, precision {metrics['precision_at_threshold']:.1%}"
    cost = f"{metrics['cost_per_row']:.4g} ({metrics['cost_accepting_all']:.4g} if all are predicted negative)"
    return [
        ("ROC AUC", f"{metrics['roc_auc']:.4f} ({positives})"),
        ("average precision", f"{metrics['average_precision']:.4f}"),
        ("Brier", f"{metrics['brier']:.4f}"),
        ("threshold", f"{threshold} ({rates})"),
        ("cost per row", cost),
    ]
