"""What the client returns: predictions, features, versions, jobs and decisions of a server."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from windlass.core.display import Metrics, format_number, html_table
from windlass.errors import counted

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Label = str | int | bool | float
_Record = TypeVar("_Record")
PROBABILITY_PREFIX = "probability_"


@dataclass(frozen=True)
class Prediction:
    """Prediction of one row.

    `prediction` is a class or a value; of several outputs, one of these by name. `class_probabilities` is the
    probability of each class by its name, None for a regression. `quantiles` are values by quantile, and `is_anomaly`
    says whether the score is one of an anomaly, for targets of these kinds. Of a prediction by id, `features` are those
    that were used, `as_of` is the day of the entity's latest event, and `error` says why there is no prediction:
    `unknown` or `unfit`, with `errors`.
    """

    prediction: Label | Mapping[str, Any] | None
    model_version: str = ""
    class_probabilities: Mapping[str, Any] | None = None
    quantiles: Mapping[str, float] | None = None
    is_anomaly: bool | None = None
    prediction_id: str = ""
    latency_ms: float | None = None
    features: Mapping[str, Any] | None = None
    as_of: str | None = None
    stale: bool | None = None
    view_version: str | None = None
    error: str | None = None
    errors: Sequence[Mapping[str, Any]] = ()

    def _repr_html_(self) -> str:
        rows = [("prediction", self.prediction), ("model version", self.model_version)]
        probabilities = self.class_probabilities or {}
        return html_table(
            ("", ""),
            [*rows, *((name, format_number(share)) for name, share in probabilities.items())],
        )


class Predictions(Sequence[Any]):
    """Predictions of rows [n], in their order; as a sequence, the classes or values."""

    def __init__(
        self, table: "pa.Table", model_version: str, prediction_ids: Sequence[str], index: Any
    ) -> None:
        """`table` [n] has the columns of predictions and of probabilities; `index` is that of a pandas frame."""
        self._table = table
        self._index = index
        self._values = _values(table)
        self.model_version = model_version
        self.prediction_ids = tuple(prediction_ids)

    @property
    def predictions(self) -> list[Any]:
        """A class or a value for each row; of several outputs, a dict of them."""
        return list(self._values)

    @property
    def class_probabilities(self) -> list[dict[str, float]] | None:
        """The probability of each class by its name, for each row; None without classes.

        Of several outputs, the names are `<output>_<class>`.
        """
        names = [name for name in self._table.column_names if name.startswith(PROBABILITY_PREFIX)]
        if not names:
            return None
        bare = [name.removeprefix(PROBABILITY_PREFIX) for name in names]
        return self._table.select(names).rename_columns(bare).to_pylist()  # type: ignore[no-any-return]  # pyarrow

    def to_arrow(self) -> "pa.Table":
        """Returns an Arrow table [n] with the columns `prediction` and `probability_<class>`."""
        return self._table

    def to_pandas(self) -> "pd.DataFrame":
        """Returns the same as a pandas frame, with the index of the frame that was sent."""
        from windlass.tables.frames import from_arrow

        frame: pd.DataFrame = from_arrow(self._table, "pandas", self._index)
        return frame

    def to_polars(self) -> "pl.DataFrame":
        """Returns the same as a Polars frame."""
        from windlass.tables.frames import from_arrow

        frame: pl.DataFrame = from_arrow(self._table, "polars")
        return frame

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __repr__(self) -> str:
        return f"<Predictions of {counted(len(self), 'row')} by {self.model_version}>"

    def _repr_html_(self) -> str:
        first_rows = self._table.slice(0, 10)
        rows = [[format_number(cell) for cell in row.values()] for row in first_rows.to_pylist()]
        return html_table(first_rows.column_names, rows, repr(self).strip("<>"))


def _values(table: "pa.Table") -> list[Any]:
    """Returns the predictions [n] in a table: of its one column, or of several a dict for each row."""
    names = [name for name in table.column_names if not name.startswith(PROBABILITY_PREFIX)]
    if len(names) == 1:
        values: list[Any] = table.column(names[0]).to_pylist()
        return values
    outputs = [name.removeprefix("prediction_") for name in names]
    rows: list[Any] = table.select(names).rename_columns(outputs).to_pylist()
    return rows


@dataclass(frozen=True)
class EntityFeatures:
    """Features of one entity. `values` is None, and `error` is `unknown`, for one that the store does not know."""

    entity: Any
    values: Mapping[str, Any] | None
    as_of: str | None = None
    computed_at: str | None = None
    stale: bool | None = None
    view: str | None = None
    view_version: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class VersionInfo:
    """Version in the registry of a server; times are seconds since 1970."""

    project: str
    version: str
    stage: str
    digest: str
    created_at: float
    trained_by: str
    job_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    gates: Sequence[Mapping[str, Any]] = ()
    engine: Mapping[str, Any] = field(default_factory=dict)
    data_digest: str = ""
    source_digest: str | None = None
    pruned_at: float | None = None

    @property
    def name(self) -> str:
        """Name of the version, such as `v3`."""
        return self.version

    def _repr_html_(self) -> str:
        facts = [("stage", self.stage), ("trained by", self.trained_by), ("digest", self.digest)]
        metrics = [(name, format_number(value)) for name, value in self.metrics.items()]
        return html_table(("", ""), [*facts, *metrics], f"{self.project} {self.version}")


@dataclass(frozen=True)
class JobInfo:
    """Job of a server; `progress` is 0 to 1, times are seconds since 1970."""

    job_id: str
    project: str
    kind: str
    state: str
    progress: float
    message: str
    error: str | None = None
    result: Mapping[str, Any] | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    requested_by: str = ""
    cancelling: bool = False
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.state in ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class DecisionInfo:
    """Decision about a version, as the chain of a server's decisions holds it."""

    project: str
    sequence: int
    action: str
    version: str
    digest: str
    actor: str
    reason: str
    decided_at: float
    previous: str
    hash: str


@dataclass(frozen=True)
class DecisionLog:
    """Decisions of a project, oldest first. `faults` says what is wrong with their chain; `verified`: nothing is."""

    decisions: tuple[DecisionInfo, ...]
    verified: bool
    faults: tuple[str, ...] = ()


def parse(kind: type[_Record], document: Mapping[str, Any]) -> _Record:
    """Returns a record of this class from a JSON object; members that it does not know are left out."""
    known_fields = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: value for name, value in document.items() if name in known_fields})


def parse_version(document: Mapping[str, Any]) -> VersionInfo:
    """Returns a version from a JSON object."""
    return parse(VersionInfo, {**document, "metrics": Metrics(document.get("metrics", {}))})


def parse_job(document: Mapping[str, Any]) -> JobInfo:
    """Returns a job from a JSON object."""
    return parse(JobInfo, {**document, "requested_by": document.get("asked_by", "")})


_FEATURE_FIELDS = frozenset(
    {"features", "as_of", "computed_at", "stale", "view", "view_version", "error"}
)


def parse_features(document: Mapping[str, Any]) -> EntityFeatures:
    """Returns the features of an entity from a JSON object, whose other members are its id."""
    ids = {name: value for name, value in document.items() if name not in _FEATURE_FIELDS}
    entity = next(iter(ids.values())) if len(ids) == 1 else ids
    return parse(EntityFeatures, {**document, "entity": entity, "values": document.get("features")})
