"""Training requests, and the plan that a request is checked and resolved to before any work starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from windlass.core.project import Candidate, Project
from windlass.errors import ParameterError

MAX_SEED = 2**32 - 1  # numpy's
DEFAULT_SEED = 42  # unless the request gives one
DEFAULT_TEST_SIZE = 0.2  # share of the rows to hold out, unless the request gives one


@dataclass(frozen=True)
class TrainingRequest:
    """Request to train a model and write its bundle to `artifacts`; without `model`, the first candidate."""

    artifacts: Path
    model: str | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = DEFAULT_SEED
    test_size: float = DEFAULT_TEST_SIZE
    track: bool = True
    data: Path | None = None  # a file for the project's data function
    snapshot: int | None = None  # of the feature view; None: the newest

    def job_request(self, folder: Path) -> dict[str, Any]:
        """Returns the request of a training job for the project in `folder`, in JSON values. Raises ParameterError."""
        values = {
            "model": self.model,
            "hyperparameters": dict(self.hyperparameters),
            "seed": self.seed,
            "test_size": self.test_size,
            "folder": str(folder.resolve()),
            "data": None if self.data is None else str(self.data.resolve()),
            "snapshot": self.snapshot,
            "track": self.track,
        }
        try:
            request: dict[str, Any] = to_jsonable_python(values)
        except ValueError as error:
            raise ParameterError(
                f"The arguments of a training must be plain numbers, text or lists: {error}."
            ) from error
        return request

    @classmethod
    def from_job(cls, fields: Mapping[str, Any], artifacts: Path) -> "TrainingRequest":
        """Returns the request that `job_request` describes; fields that an older job lacks have their defaults."""
        data = fields.get("data")
        return cls(
            artifacts=artifacts,
            model=fields.get("model"),
            hyperparameters=fields.get("hyperparameters") or {},
            seed=fields.get("seed", DEFAULT_SEED),
            test_size=fields.get("test_size", DEFAULT_TEST_SIZE),
            track=fields.get("track", True),
            data=None if data is None else Path(data),
            snapshot=fields.get("snapshot"),
        )


@dataclass(frozen=True)
class TrainingPlan:
    """Checked request: the candidate, with every hyperparameter resolved.

    For a project with a feature view, `view` is the view's version and `snapshot` the number of the snapshot
    to read; None until the newest is looked up.
    """

    candidate: Candidate
    seed: int
    test_size: float
    data: Path | None = None
    snapshot: int | None = None
    view: str | None = None
    validation: float | None = None  # share of the training rows that early stopping validates on

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Resolved hyperparameters as JSON values."""
        return self.candidate.model_dump(mode="json")

    @property
    def params(self) -> dict[str, Any]:
        """Contents of `params.json`."""
        return {
            "model": self.candidate.name,
            "seed": self.seed,
            "test_size": self.test_size,
            **({} if self.validation is None else {"validation": self.validation}),
            **({} if self.data is None else {"data": str(self.data)}),
            **({} if self.view is None else {"snapshot": self.snapshot, "view": self.view}),
            **self.hyperparameters,
        }

    @classmethod
    def from_params(cls, project: Project, params: Mapping[str, Any]) -> "TrainingPlan":
        """Return the plan that `params.json` records. Raises ParameterError, ProjectError where it no longer fits."""
        rest = dict(params)
        model, seed, test_size = (rest.pop(name, None) for name in ("model", "seed", "test_size"))
        file, snapshot = rest.pop("data", None), rest.pop("snapshot", None)
        for declared in ("validation", "view"):
            rest.pop(declared, None)
        data = None if file is None else Path(file)
        request = TrainingRequest(
            Path(), model, rest, seed, test_size, data=data, snapshot=snapshot
        )
        return resolve_plan(project, request)


def resolve_plan(project: Project, request: TrainingRequest) -> TrainingPlan:
    """Check a request against the project and resolve its hyperparameters.

    Raises ProjectError for an unknown model, ParameterError for everything else that cannot be used.
    """
    kind = project.candidates[0] if request.model is None else project.candidate(request.model)
    if not _is_number(request.test_size) or not 0 < request.test_size < 1:
        raise ParameterError(
            f"Test size {request.test_size} is not between 0 and 1."
            f" Give the share of rows to hold out, such as {DEFAULT_TEST_SIZE}."
        )
    if not isinstance(request.seed, int) or not 0 <= request.seed <= MAX_SEED:
        raise ParameterError(
            f"Seed {request.seed} cannot be used. Give an integer from 0 to {MAX_SEED}."
        )
    _require_usable_data(project, request)
    _require_known_hyperparameters(project, kind, request.hyperparameters)
    try:
        candidate = kind.model_validate(dict(request.hyperparameters))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"])) or "its hyperparameters"
        raise ParameterError(
            f"Model {kind.name} cannot use {name} = {first['input']!r}: {first['msg']}."
        ) from error
    view = None if project.view_record is None else project.view_record.version
    return TrainingPlan(
        candidate,
        request.seed,
        float(request.test_size),
        request.data,
        request.snapshot,
        view,
        project.validation,
    )


def _require_usable_data(project: Project, request: TrainingRequest) -> None:
    """Check that the project reads the file or the snapshot that is requested. Raises ParameterError."""
    if request.data is not None and project.view is not None:
        raise ParameterError(
            f"Project {project.name!r} reads the features of its view, and no data file. Build them from the"
            " file first: `windlass features build --data FILE`."
        )
    if request.snapshot is None:
        return
    if project.view is None:
        raise ParameterError(
            f"Project {project.name!r} has no feature view, and so no snapshots. Leave --snapshot out."
        )
    if not isinstance(request.snapshot, int) or request.snapshot < 1:
        raise ParameterError(
            f"Snapshot {request.snapshot!r} is not the number of a snapshot. `windlass features snapshots`"
            " lists those there are."
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require_known_hyperparameters(
    project: Project, kind: type[Candidate], hyperparameters: Mapping[str, Any]
) -> None:
    for name in hyperparameters:
        if name in kind.model_fields:
            continue
        owners = [other.name for other in project.candidates if name in other.model_fields]
        if owners:
            raise ParameterError(
                f"{name} is a hyperparameter of {' and '.join(owners)}, and this run trains {kind.name}."
                f" Leave it out, or choose model {' or '.join(owners)}."
            )
        names = ", ".join(kind.model_fields) or "none"
        raise ParameterError(f"Model {kind.name} has no hyperparameter {name}. It has: {names}.")
