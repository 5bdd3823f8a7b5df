"""Bundles that hold nothing but a holdout, for tests that compare versions without training any."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import (
    Bundle,
    BundleSchema,
    ComparisonRecord,
    EngineRecord,
    GateRecord,
    Manifest,
)
from windlass.core.data_checks import DATA_CHECKS_FILE, DataChecks
from windlass.core.hashing import sha256
from windlass.core.holdout import HOLDOUT_FILE, Holdout, encode_holdout, row_digests
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.targets.target import TargetRecord

ROW = RowSchema.from_columns("Point", ColumnSchema(name="x", kind=ColumnKind.NUMBER))


def make_holdout(
    truth: NDArray[Any], *, noise: float = 1.0, seed: int = 0, start: int = 0
) -> Holdout:
    """A holdout of rows x = start, start + 1, … whose model is right the more, the less the noise."""
    random = np.random.default_rng(seed)
    numbers = np.arange(start, start + len(truth), dtype=np.float64).reshape(-1, 1)
    digests = row_digests(ROW, Batch(numbers, np.empty((len(truth), 0), object)))
    error = noise * random.normal(size=len(truth))
    if truth.dtype == np.float64:
        return Holdout.from_arrays(digests, truth, Prediction(values=truth + error))
    positive = 1 / (1 + np.exp(-(2.0 * truth - 1 + error)))
    shares = np.column_stack([1 - positive, positive])
    return Holdout.from_arrays(digests, truth, Prediction(shares.argmax(axis=1), shares))


def seal_holdout(
    folder: Path,
    holdout: Holdout | bytes,
    *,
    gates: tuple[GateRecord, ...] = (),
    comparisons: tuple[ComparisonRecord, ...] = (),
    target: TargetRecord | None = None,
    row: RowSchema = ROW,
    checks: DataChecks | None = None,
) -> Bundle:
    """A bundle of two classes, or of a quantity, that holds this holdout."""
    content = holdout if isinstance(holdout, bytes) else encode_holdout(holdout)
    digest = sha256(content)
    path = folder / digest
    path.mkdir(parents=True, exist_ok=True)
    (path / HOLDOUT_FILE).write_bytes(content)
    files = {HOLDOUT_FILE: digest}
    if checks is not None:
        text = checks.model_dump_json().encode()
        (path / DATA_CHECKS_FILE).write_bytes(text)
        files[DATA_CHECKS_FILE] = sha256(text)
    quantity = isinstance(holdout, Holdout) and holdout.prediction.values is not None
    record = target or TargetRecord(name="y", classes=None if quantity else (0, 1))
    manifest = Manifest(
        format=1,
        project="toy",
        created="2026-01-01T00:00:00+00:00",
        data_digest="0" * 64,
        engine=EngineRecord(name="native"),
        gates=gates,
        comparisons=comparisons,
        files=files,
    )
    return Bundle(path, manifest, digest, BundleSchema(row=row, target=record))


def change_labels(holdout: Holdout, rows: int) -> Holdout:
    """The same holdout, the truth of its first rows turned."""
    truth = holdout.truth.copy()
    truth[:rows] = 1 - truth[:rows]
    return replace(holdout, truth=truth)
