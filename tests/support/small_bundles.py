"""Small sealed bundles, made in a millisecond: all that the registry asks of one, without a training."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windlass.core.bundle import EngineRecord, GateRecord
from windlass.core.bundle_writer import seal_bundle
from windlass.core.project_spec import ProjectSpec
from windlass.registry.version import Version

SCHEMA = {
    "row": {"title": "Row", "columns": [{"name": "age", "kind": "number"}]},
    "target": {"name": "paid", "classes": ["no", "yes"]},
}


@dataclass(frozen=True)
class LoanProject:
    """A project as the registry sees it; `declared` says what else it declares."""

    project: str = "loan"

    def declared(self, **more: Any) -> ProjectSpec:
        return ProjectSpec(name=self.project, folder=f"/projects/{self.project}", **more)

    def sealed(self, folder: Path, *, accuracy: float = 0.9, least: float = 0.8) -> Path:
        """A bundle in a new folder; its accuracy is gated to be `least` at the least."""
        folder.mkdir(parents=True)
        files = {
            "schema.json": SCHEMA,
            "golden.json": {},
            "metrics.json": {"accuracy": accuracy},
            "params.json": {"model": "logreg", "seed": 7},
        }
        for name, value in files.items():
            (folder / name).write_text(json.dumps(value))
        (folder / "model.joblib").write_bytes(str(folder).encode() * 1000)
        gate = GateRecord(rule=f"accuracy >= {least:g}", value=accuracy, passed=accuracy >= least)
        seal_bundle(
            folder,
            project=self.project,
            created="2026-01-01T00:00:00+00:00",
            data_digest="d" * 64,
            engine=EngineRecord(name="native", reason="a test"),
            gates=(gate,),
        )
        return folder


LOAN = LoanProject()
Train = Callable[..., Version]  # seals a bundle and registers it
