"""The bundle: the sealed, immutable folder that training writes and serving reads."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from windlass.core.hashing import canonical_json, sha256, sha256_file
from windlass.core.row_schema import RowSchema
from windlass.core.targets.anomaly_score import AnomalyScore
from windlass.core.targets.classes import Classes
from windlass.core.targets.outputs import Outputs
from windlass.core.targets.quantiles import Quantiles
from windlass.core.targets.quantity import Quantity
from windlass.core.targets.ranking import Ranking
from windlass.core.targets.target import Target, TargetRecord
from windlass.errors import BundleError, IntegrityError

FORMAT = 1  # every 1.x opens bundles of all earlier 1.x
MANIFEST = "manifest.json"
MODEL_PICKLE = "model.joblib"
MODEL_ONNX = "model.onnx"
PROJECT_NAME = r"^[a-z][a-z0-9_-]{0,62}$"  # part of URLs and of paths

Record = TypeVar("Record", bound=BaseModel)


class BundleModel(BaseModel):
    """Base of the models of a bundle's JSON files; it ignores unknown fields, which later versions may add."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class EquivalenceRecord(BundleModel):
    """Comparison of the compiled model with the fitted pipeline, over `rows` rows."""

    rows: int
    max_difference: float
    labels_changed: int
    tolerance: float


class EngineRecord(BundleModel):
    """Engine that serves the bundle; if it is native, the reason."""

    name: Literal["onnx", "native"]
    reason: str | None = None
    equality: EquivalenceRecord | None = None


class GateRecord(BundleModel):
    """Result of one gate in training; `note` has details."""

    rule: str
    value: float | None
    passed: bool
    note: str = ""


class ComparisonRecord(BundleModel):
    """Gate that compares with production, `NotWorse`, as the project declared it."""

    metric: str
    margin: float = 0.0
    confidence: float = 0.95


class Manifest(BundleModel):
    """Content of `manifest.json`, written last: facts about the bundle, and the SHA-256 of every other file."""

    format: int
    project: str = Field(pattern=PROJECT_NAME)
    created: str
    data_digest: str
    source_digest: str | None = None
    engine: EngineRecord
    gates: tuple[GateRecord, ...] = ()
    comparisons: tuple[ComparisonRecord, ...] = ()
    files: dict[str, str]


class BundleSchema(BundleModel):
    """Content of `schema.json`: the row and the target."""

    row: RowSchema
    target: TargetRecord


def read_target(record: TargetRecord) -> Target:
    """Returns the target that a bundle's record describes. Raises BundleError for an unknown kind."""
    match record.kind:
        case None:
            return _read_single_target(record)
        case Outputs.KIND:
            return Outputs([_read_single_target(output) for output in record.outputs or ()])
        case Quantiles.KIND:
            return Quantiles(record.name, record.quantiles or (), record.unit)
        case AnomalyScore.KIND:
            return AnomalyScore(record.name, record.contamination, record.threshold)
        case Ranking.KIND:
            return Ranking(record.name, record.group or "")
    raise BundleError(
        f"Target {record.name!r} is of the kind {record.kind!r}, which this Windlass does not know."
        " Install the version that sealed the bundle."
    )


def _read_single_target(record: TargetRecord) -> Classes | Quantity:
    if record.classes is None:
        return Quantity(record.name, record.unit)
    return Classes(record.name, record.classes)


@dataclass(frozen=True)
class Bundle:
    """Opened bundle; every file was verified against the digest in its manifest.

    `registered_version` is its version in the registry, such as `v3`; None for a bare folder.
    """

    path: Path
    manifest: Manifest
    digest: str
    schema: BundleSchema
    registered_version: str | None = None

    @classmethod
    def open(cls, path: Path) -> "Bundle":
        """Verifies every file of the bundle at `path`, then reads its schema.

        Raises BundleError if there is no bundle, IntegrityError if one of its files was altered.
        """
        manifest, digest = _read_manifest(path)
        _verify_files(path, manifest)
        schema = _read_model(BundleSchema, path / "schema.json")
        return cls(path, manifest, digest, schema)

    @property
    def target(self) -> Target:
        """What it predicts. Raises BundleError for a kind of target that this version does not know."""
        return read_target(self.schema.target)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of its gates as text, those that compare with production too."""
        compared = (
            f"{each.metric} not worse than production" for each in self.manifest.comparisons
        )
        return (*(gate.rule for gate in self.manifest.gates), *compared)

    @property
    def version(self) -> str:
        """The version in the registry, such as `v3`; else the first 12 hex digits of the SHA-256 of `model.joblib`."""
        return self.registered_version or self.manifest.files[MODEL_PICKLE][:12]

    def read(self, name: str) -> bytes:
        """Reads one file and verifies its content again. Raises IntegrityError if it was altered."""
        content = (self.path / name).read_bytes()
        if sha256(content) != self.manifest.files.get(name):
            raise _altered_file_error(self.path, name)
        return content

    def json(self, name: str) -> Any:
        """Reads and parses one of the bundle's JSON files. Raises IntegrityError if it was altered."""
        return json.loads(self.read(name))


def find_bundle_folder(path: Path) -> Path:
    """Returns `path`, or its subfolder `artifacts`, whichever is a bundle. Raises BundleError if neither is."""
    if (path / MANIFEST).is_file():
        return path
    if (path / "artifacts" / MANIFEST).is_file():
        return path / "artifacts"
    if (path / "project.py").is_file():
        raise BundleError(
            f"Project {path} has no bundle yet. Train one with `windlass train {path}`."
        )
    if not path.exists():
        raise BundleError(
            f"No bundle at {path}: there is no such folder, and no registry here has a project of this name. Name a"
            " bundle, or the folder of a project."
        )
    raise BundleError(
        f"No bundle at {path}: it holds no {MANIFEST}. Train one with `windlass train`."
    )


def artifacts_project(folder: Path) -> str | None:
    """Returns the project of the bundle in a folder's `artifacts`; None where it holds no bundle."""
    try:
        return _read_manifest(folder / "artifacts")[0].project
    except BundleError:
        return None


def _read_manifest(path: Path) -> tuple[Manifest, str]:
    file = path / MANIFEST
    if not file.is_file():
        raise BundleError(
            f"No bundle at {path}: it holds no {MANIFEST}. Train one with `windlass train`."
        )
    manifest = _read_model(Manifest, file)
    if manifest.format != FORMAT:
        raise BundleError(
            f"{file} is of format {manifest.format}; this Windlass opens format {FORMAT}."
            " Install the version that sealed it."
        )
    for name in manifest.files:
        if Path(name).name != name or name in {MANIFEST, ".", ".."}:
            raise IntegrityError(
                f"{file} names {name!r}, which is not a plain file name. Do not serve this bundle."
            )
    for needed in (MODEL_PICKLE, "schema.json", "golden.json"):
        if needed not in manifest.files:
            raise IntegrityError(
                f"{file} does not name {needed}. Do not serve this bundle; train it again."
            )
    return manifest, bundle_digest(file.read_bytes())


def bundle_digest(manifest: bytes) -> str:
    """Returns the digest of a bundle: the SHA-256 of its canonical manifest. Raises ValueError for invalid JSON."""
    return sha256(canonical_json(json.loads(manifest)))


def _verify_files(path: Path, manifest: Manifest) -> None:
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise IntegrityError(
                f"Bundle {path} lacks {name}. Restore the bundle, or train it again."
            )
        if sha256_file(file) != expected:
            raise _altered_file_error(path, name)


def _altered_file_error(path: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"Bundle {path}: {name} is not the file that was sealed. Restore the bundle, or train it again."
    )


def _read_model(kind: type[Record], file: Path) -> Record:
    try:
        return kind.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise IntegrityError(
            f"{file} is damaged ({where}: {first['msg']}). Restore the bundle, or train it again."
        ) from error
