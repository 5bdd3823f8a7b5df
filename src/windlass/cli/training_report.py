"""What a training is told as, once it is done: in lines for people, as JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.cli.console import say, say_error, say_facts, say_json
from windlass.core.bundle import MODEL_PICKLE
from windlass.core.gates import GateResult

if TYPE_CHECKING:
    from windlass.core.bundle import Bundle
    from windlass.jobs.job import Job
    from windlass.workflows.train import TrainingResult


@dataclass(frozen=True)
class TrainingReport:
    """What there is to tell. Without a registry `version` is the bundle's own, and there is no `stage`."""

    project: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
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
    def of_result(cls, result: "TrainingResult") -> "TrainingReport":
        """Of a training that no registry knows."""
        return replace(
            cls._of_bundle(result.bundle),
            warnings=result.warnings,
            tracked=result.tracked,
            untracked=result.untracked,
        )

    @classmethod
    def of_job(cls, job: "Job", bundle: "Bundle", artifacts: Path | None) -> "TrainingReport":
        """Of a job that succeeded, and the bundle of the version that it made."""
        made = job.result or {}
        return replace(
            cls._of_bundle(bundle),
            gates=made["gates"],
            version=made["version"],
            stage=made["stage"],
            job_id=job.id,
            artifacts=None if artifacts is None else str(artifacts),
            warnings=made.get("warnings", ()),
            tracked=made.get("tracked"),
            untracked=made.get("untracked"),
        )

    @classmethod
    def _of_bundle(cls, bundle: "Bundle") -> "TrainingReport":
        manifest = bundle.manifest
        return cls(
            project=manifest.project,
            params=bundle.json("params.json"),
            metrics=bundle.json("metrics.json"),
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

    def tell(self, *, as_json: bool) -> None:
        """Print it for people, or as JSON and nothing else."""
        if as_json:
            say_json(asdict(self))
            return
        for text in self.warnings:
            say_error(f"warning while fitting: {text}")
        if self.untracked is not None:
            say_error(f"warning: {self.untracked}")
        say_facts(self._facts())
        if any(gate.blocks_approval for gate in self._gates):
            what = "bundle" if self.stage is None else "version"
            say(f"Not every gate passed: this {what} cannot be approved.")
        elif self.stage == "candidate":
            command = f'windlass approve {self.project} {self.version} --reason "…"'
            say(f"{self.version} waits for a decision: {command}")

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
            *_scores(self.metrics),
            *(("gate", f"{gate.rule}: {gate.verdict}{_reason(gate.note)}") for gate in self._gates),
            ("engine", self.engine["name"] + _reason(self.engine.get("reason"))),
        ]
        if self.artifacts is not None:
            facts.append(("artifacts", f"{self.artifacts} (digest {self.digest[:12]})"))
        if self.tracked is not None:
            facts.append(("tracked", self.tracked))
        return facts


def _reason(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _scores(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    if "accuracy" not in metrics:
        names = {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}
        return [(shown, f"{metrics[name]:,.4g}") for name, shown in names.items()]
    interval = f"95 % interval {metrics['accuracy_low']:.3f} to {metrics['accuracy_high']:.3f}"
    rows = f"{metrics['test_rows']:.0f} test rows"
    return [
        *_rare(metrics),
        ("accuracy", f"{metrics['accuracy']:.4f} ({interval}, {rows})"),
        ("macro F1", f"{metrics['macro_f1']:.4f}"),
    ]


def _rare(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """What counts where the positive class is rare and costs are declared."""
    if "cost_per_row" not in metrics:
        return []
    positives = f"{metrics['base_rate']:.2%} of {metrics['test_rows']:,.0f} test rows are positive"
    threshold = f"from {metrics['threshold']:.4f} on"
    found = f"{metrics['recall_at_threshold']:.1%} found, {metrics['precision_at_threshold']:.1%} of the alarms right"
    cost = f"{metrics['cost_per_row']:.4g}, accepting all {metrics['cost_accepting_all']:.4g}"
    return [
        ("ROC AUC", f"{metrics['roc_auc']:.4f} ({positives})"),
        ("average precision", f"{metrics['average_precision']:.4f}"),
        ("Brier", f"{metrics['brier']:.4f}"),
        ("positive", f"{threshold}: {found}"),
        ("cost per row", cost),
    ]
