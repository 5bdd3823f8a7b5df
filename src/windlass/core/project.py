"""The declaration of a project (`Project`, `Candidate`) and the checks of it."""

import inspect
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from windlass.core.bundle import PROJECT_NAME
from windlass.core.data_checks import require_finding_names
from windlass.core.deprecation import renamed_arguments
from windlass.core.evaluation_rules import ColumnSplit, CostMatrix, Metric, SplitRule
from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.core.gates import Gate, NoFindings, NotWorse
from windlass.core.metrics import COST_METRICS, ROW_COUNTS
from windlass.core.row import read_row
from windlass.core.row_schema import RowSchema
from windlass.core.targets.classes import Classes
from windlass.core.targets.target import Target
from windlass.errors import ProjectError

RESERVED_FIELDS = frozenset(
    {"artifacts", "data", "help", "json", "model", "progress", "seed", "snapshot", "test_size", "track",
     "validation", "view"}
)  # fmt: skip
_LEDGER_COLUMNS = frozenset(
    {"latency_ms", "model_version", "predicted_at", "prediction", "prediction_id", "request_id",
     "row"}
)  # fmt: skip
_ROUTE_NAMES = frozenset(
    {"decisions", "docs", "features", "get-online-features", "health", "invocations", "jobs", "keys", "livez",
     "metrics", "openapi", "outcomes", "ping", "predict", "predict_batch", "predict_by_id", "readyz", "rollback",
     "status", "train", "ui", "v1", "v2", "version", "versions"}
)  # fmt: skip
_NAME = re.compile(PROJECT_NAME)
_MAX_LISTED_METRICS = 30  # in an error message; there are three metrics per class


class Candidate(BaseModel):
    """Base class of a kind of model that training can choose, with its hyperparameters.

    `class LogReg(Candidate, name="logreg")` sets the name that requests use; without it, the name is the
    class's in lower case. The fields are the hyperparameters: they become command line flags, request fields
    and documentation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = ""

    def __init_subclass__(cls, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = name or cls.__name__.lower()

    @classmethod
    def __pydantic_init_subclass__(cls, name: str | None = None, **kwargs: Any) -> None:
        """Removes `name` from the class keywords, which pydantic would pass to its own config."""

    @abstractmethod
    def build(self, seed: int) -> Any:
        """Returns an unfitted scikit-learn estimator that uses `seed` for everything random."""
        raise NotImplementedError


@renamed_arguments(stakes="costs", aside="extra_columns", features="view_record")
@dataclass(frozen=True)
class Project:
    """Declares a project in `project.py`: its rows, target, data, candidate models and gates.

    `data` is a function that returns the labelled rows as a table (pandas, polars, pyarrow, or a dict of
    columns), or the path of a file, which is read as `windlass.read_table` reads it; a relative path starts from the
    folder of `data`'s code. The table has the row's columns and the target's column; missing values are null or NaN.
    With the signature `data(file: Path | None = None)`, it reads the file of `--data FILE` itself.

    With a feature `view`, the rows come from the offline store: `data(rows)` takes a polars DataFrame with one
    row per event (the features as they were before the event, and the event's own columns) and returns the
    labelled rows. Without `data`, these rows are used unchanged.

    The first of `candidates` is the default model. `split` separates training and test rows by declared columns:
    GroupSplit, TimeSplit, GroupTimeSplit or ColumnSplit. `sample_weight` names an extra column of weights, 0 or more,
    which the fit uses; metrics count each row once. `metrics` are the project's own, for reports and gates.
    `slices` names extra columns of `data`'s table: metrics are computed for each of their values, to measure
    fairness, and the model does not see them. `costs` gives the costs of wrong predictions.

    `validation` is the share of the training rows, such as 0.15, on which a booster that stops early is
    validated. They are cut out by the rule that separates test rows; other candidates train on all rows.

    `policy` decides what happens after a training whose gates pass: "manual" waits for an approval,
    "automatic" puts the version into production. With `four_eyes`, the person who trained a version cannot
    approve it. `accept` names findings of the data checks that are no fault, such as "duplicate_rows" or
    "id_column:loan_id": a version with others never goes into production automatically.

    Raises ProjectError if something is declared that cannot work.
    """

    name: str
    row: type[BaseModel]
    target: Target
    data: Callable[..., Any]
    candidates: tuple[type[Candidate], ...]
    gates: tuple[Gate | NotWorse | NoFindings, ...] = ()
    description: str = ""
    policy: Literal["manual", "automatic"] = "manual"
    four_eyes: bool = False
    view: FeatureView | None = None
    split: SplitRule | None = None
    slices: tuple[str, ...] = ()
    costs: CostMatrix | None = None
    validation: float | None = None
    accept: tuple[str, ...] = ()
    sample_weight: str | None = None
    metrics: tuple[Metric, ...] = ()
    schema: RowSchema = field(init=False, repr=False)

    def __init__(  # noqa: PLR0913 - the declaration: every argument is a keyword that the user reads
        self,
        *,
        name: str,
        row: type[BaseModel],
        target: Target,
        data: Callable[..., Any] | None = None,
        candidates: Iterable[type[Candidate]],
        gates: Iterable[Gate | NotWorse | NoFindings] = (),
        description: str = "",
        policy: Literal["manual", "automatic"] = "manual",
        four_eyes: bool = False,
        view: FeatureView | None = None,
        split: SplitRule | None = None,
        slices: Iterable[str] = (),
        costs: CostMatrix | None = None,
        validation: float | None = None,
        accept: Iterable[str] = (),
        sample_weight: str | None = None,
        metrics: Iterable[Metric] = (),
    ) -> None:
        values = {
            "name": name,
            "row": row,
            "target": target,
            "data": _return_rows if data is None and view is not None else data,
            "description": description,
            "candidates": tuple(candidates),
            "gates": tuple(gates),
            "policy": policy,
            "four_eyes": four_eyes,
            "view": view,
            "split": split,
            "slices": tuple(slices),
            "costs": costs,
            "validation": validation,
            "accept": (accept,) if isinstance(accept, str) else tuple(accept),
            "sample_weight": sample_weight,
            "metrics": tuple(metrics),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        self._check_kinds()
        object.__setattr__(self, "schema", read_row(row))
        self._check_names()
        self._check_candidates()
        self._check_thresholds()
        self._check_comparisons()
        require_finding_names(self.name, self.accept)

    def _check_kinds(self) -> None:
        rules = (
            (isinstance(self.name, str), "name is a string"),
            (
                _is_kind(self.row, BaseModel),
                "row is a subclass of windlass.Row (the class, not a row)",
            ),
            (
                isinstance(self.target, Target),
                "target is a Classes(…), a Quantity(…) or another kind of target",
            ),
            (
                callable(self.data),
                "data is a function that returns a table (the function, not its call)",
            ),
            (
                all(_is_kind(candidate, Candidate) for candidate in self.candidates),
                "candidates are subclasses of windlass.Candidate",
            ),
            (
                all(isinstance(gate, Gate | NotWorse | NoFindings) for gate in self.gates),
                "gates are Gate(…), NotWorse(…) or NoFindings()",
            ),
            (self.policy in ("manual", "automatic"), "policy is 'manual' or 'automatic'"),
            (isinstance(self.four_eyes, bool), "four_eyes is True or False"),
            (
                not (self.four_eyes and self.policy == "automatic"),
                "four_eyes needs a person to approve; use policy='manual'",
            ),
            (isinstance(self.view, FeatureView | None), "view is a FeatureView(…)"),
            (
                isinstance(self.split, SplitRule | None),
                "split is a GroupSplit(…), TimeSplit(…), GroupTimeSplit(…) or ColumnSplit(…)",
            ),
            (
                not (isinstance(self.split, ColumnSplit) and self.validation is not None),
                "validation is declared by the column of ColumnSplit(…), so leave validation= out",
            ),
            (isinstance(self.sample_weight, str | None), "sample_weight is the name of a column"),
            (
                all(isinstance(metric, Metric) for metric in self.metrics),
                "metrics are Metric(…)",
            ),
            (isinstance(self.costs, CostMatrix | None), "costs is a CostMatrix(…)"),
            (
                self.validation is None
                or (isinstance(self.validation, float) and 0 < self.validation < 1),
                "validation is a share of the training rows between 0 and 1, such as 0.15",
            ),
            (
                not (self.costs or self.slices) or self._has_two_classes,
                "costs and slices need a target of two classes",
            ),
        )
        for fits, rule in rules:
            if not fits:
                raise ProjectError(f"Project {self.name!r}: {rule}.")

    @property
    def _has_two_classes(self) -> bool:
        return isinstance(self.target, Classes) and len(self.target.labels) == 2

    def _check_names(self) -> None:
        require_project_name(self.name)
        for name in self.target.columns:
            if name in self.schema.names:
                raise ProjectError(
                    f"Target {name!r} of project {self.name!r} is also a column of its row."
                )
        added = added_columns(self.target)
        for name in self.schema.names:
            if name in added:
                raise ProjectError(
                    f"Column {name!r} of project {self.name!r} has the name of something that Windlass adds"
                    " to predictions. Rename it in data()."
                )
        for name in self.slices:
            if name in (*self.schema.names, *self.target.columns):
                raise ProjectError(
                    f"Slice {name!r} of project {self.name!r} is also its target or a column of its row."
                    " Slices are other columns, which the model does not see."
                )
        if self.sample_weight in (*self.schema.names, *self.target.columns):
            raise ProjectError(
                f"Sample weight {self.sample_weight!r} of project {self.name!r} is also its target or a column of its"
                " row. Weights are another column, which the model does not see."
            )
        for name in {} if self.view_record is None else self.view_record.at_request:
            if name not in self.schema.names:
                raise ProjectError(
                    f"Feature {name!r}, which the view of project {self.name!r} computes at request time, is not"
                    f" a column of its row {self.row.__name__}. There are: {', '.join(self.schema.names)}."
                )

    def _check_candidates(self) -> None:
        names = [candidate.name for candidate in self.candidates]
        if not names or len(set(names)) < len(names):
            raise ProjectError(
                f"Project {self.name!r} needs candidates with different names, got {names}."
            )
        for candidate in self.candidates:
            label = f"Candidate {candidate.name!r} of project {self.name!r}"
            if candidate.build is Candidate.build:
                raise ProjectError(
                    f"{label} has no method build(self, seed), which makes its estimator."
                )
            for name, hyperparameter in candidate.model_fields.items():
                if name in RESERVED_FIELDS:
                    raise ProjectError(
                        f"{label} has the field {name!r}, which names an argument of every training."
                        " Call it something else."
                    )
                if hyperparameter.is_required():
                    raise ProjectError(
                        f"{label}: hyperparameter {name!r} has no default. Give it one."
                    )

    def _check_thresholds(self) -> None:
        """Rejects a gate on a metric that is not measured: it could never pass."""
        costs = () if self.costs is None else COST_METRICS
        measured = (*self.target.metric_names(), *costs, *ROW_COUNTS)
        own = [metric.name for metric in self.metrics]
        taken = next((name for name in own if name in measured or own.count(name) > 1), None)
        if taken is not None:
            raise ProjectError(
                f"Project {self.name!r} has a metric {taken!r} twice, or it is measured anyway. Rename it."
            )
        names = (*own, *measured)
        for gate in self.thresholds:
            if gate.metric not in names:
                more = "" if len(names) <= _MAX_LISTED_METRICS else ", …"
                raise ProjectError(
                    f"Project {self.name!r} has a gate on {gate.metric!r}, which is not measured."
                    f" There are: {', '.join(names[:_MAX_LISTED_METRICS])}{more}."
                )

    def _check_comparisons(self) -> None:
        names = [metric.name for metric in self.target.compared_metrics()]
        own = [metric.name for metric in self.metrics]
        for rule in self.comparisons:
            if rule.metric in own:
                raise ProjectError(
                    f"Project {self.name!r} has NotWorse({rule.metric!r}), a metric of its own. Versions are compared"
                    " without the code of the project, so only built-in metrics can be:"
                    f" {', '.join(names)}. Give it a limit: Gate({rule.metric!r}, …)."
                )
            if rule.metric not in names:
                raise ProjectError(
                    f"Project {self.name!r} has NotWorse({rule.metric!r}), by which two models of"
                    f" {self.target.name} cannot be compared. There are: {', '.join(names)}."
                )

    @property
    def thresholds(self) -> tuple[Gate, ...]:
        """The gates that compare a metric of the version with a limit."""
        return tuple(gate for gate in self.gates if isinstance(gate, Gate))

    @property
    def comparisons(self) -> tuple[NotWorse, ...]:
        """The gates that compare the version with production; with any, the split is by the rows' content."""
        return tuple(gate for gate in self.gates if isinstance(gate, NotWorse))

    @property
    def requires_no_findings(self) -> bool:
        """Whether a gate requires that the data checks find nothing."""
        return any(isinstance(gate, NoFindings) for gate in self.gates)

    @property
    def view_record(self) -> ViewRecord | None:
        """The feature view as data, with the row's columns as its features; None without a view."""
        return None if self.view is None else self.view.record(self.schema.names)

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """The columns that split, slices, weights and groups need from `data`, beside the row's and the target's."""
        split = () if self.split is None else self.split.columns
        columns = [name for name in (self.target.group, self.sample_weight) if name is not None]
        return tuple(dict.fromkeys([*split, *self.slices, *columns]))

    @property
    def takes_file(self) -> bool:
        """Whether `data` has a parameter `file`, so that training can read another file."""
        try:
            return "file" in inspect.signature(self.data).parameters
        except (TypeError, ValueError):  # a callable without a signature
            return False

    def candidate(self, name: str) -> type[Candidate]:
        """Returns the candidate of this name. Raises ProjectError, which lists the names, if there is none."""
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        names = ", ".join(candidate.name for candidate in self.candidates)
        raise ProjectError(f"Project {self.name!r} has no model {name!r}. Choose one of: {names}.")


def added_columns(target: Target) -> frozenset[str]:
    """Returns the names of what Windlass adds to predictions, which no column of a row may have."""
    arrays = target.arrays(target.rejected())
    return _LEDGER_COLUMNS.union(*(array.columns for array in arrays))


def require_project_name(name: str) -> None:
    """Checks that a name can be a project's. Raises ProjectError, with a name that can."""
    if _NAME.fullmatch(name) and name not in _ROUTE_NAMES:
        return
    usable = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).lstrip("-_0123456789").rstrip("-")[:62]
    if usable in _ROUTE_NAMES:
        usable = f"my-{usable}"
    hint = f" For example: {usable}" if usable else ""
    raise ProjectError(
        f"Project name {name!r} is not usable in a URL, or is a route of the server."
        f" Use other lower-case letters, digits, - and _, starting with a letter.{hint}"
    )


def _return_rows(rows: Any) -> Any:
    return rows


def _is_kind(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base)
