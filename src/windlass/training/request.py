"""What a training run is asked to do, and the refusal of what cannot be done, before any work starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from windlass.core.candidate import Candidate
from windlass.core.project import Project
from windlass.errors import ParameterError

Progress = Callable[[float, str], None]  # (share done 0..1, what is happening)

LARGEST_SEED = 2**32 - 1  # numpy's


def silent(share: float, message: str) -> None:
    """A Progress that tells nobody."""


@dataclass(frozen=True)
class TrainingRequest:
    """Which model to train, how, and where the bundle goes. No `model` asks for the first candidate."""

    artifacts: Path
    model: str | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 42
    test_size: float = 0.2
    track: bool = True


@dataclass(frozen=True)
class Plan:
    """A request that was checked: the candidate with every hyperparameter resolved."""

    candidate: Candidate
    seed: int
    test_size: float

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every hyperparameter, resolved, as JSON values."""
        return self.candidate.model_dump(mode="json")

    @property
    def params(self) -> dict[str, Any]:
        """What `params.json` holds."""
        return {
            "model": self.candidate.name,
            "seed": self.seed,
            "test_size": self.test_size,
            **self.hyperparameters,
        }

    @classmethod
    def of_params(cls, project: Project, params: Mapping[str, Any]) -> "Plan":
        """The plan that `params.json` records. Raises ParameterError, ProjectError where it no longer fits."""
        rest = dict(params)
        model, seed, test_size = (rest.pop(name, None) for name in ("model", "seed", "test_size"))
        return resolve(project, TrainingRequest(Path(), model, rest, seed, test_size))


def resolve(project: Project, request: TrainingRequest) -> Plan:
    """Check a request against the project.

    Raises ProjectError for an unknown model, ParameterError for everything else that cannot be used.
    """
    kind = project.candidates[0] if request.model is None else project.candidate(request.model)
    if not _is_number(request.test_size) or not 0 < request.test_size < 1:
        raise ParameterError(
            f"Test size {request.test_size} is not between 0 and 1."
            " Give the share of rows to hold out, such as 0.2."
        )
    if not isinstance(request.seed, int) or not 0 <= request.seed <= LARGEST_SEED:
        raise ParameterError(
            f"Seed {request.seed} cannot be used. Give an integer from 0 to {LARGEST_SEED}."
        )
    _refuse_foreign(project, kind, request.hyperparameters)
    try:
        candidate = kind.model_validate(dict(request.hyperparameters))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"])) or "its hyperparameters"
        raise ParameterError(
            f"Model {kind.name} cannot use {name} = {first['input']!r}: {first['msg']}."
        ) from error
    return Plan(candidate, request.seed, float(request.test_size))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse_foreign(
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
        known = ", ".join(kind.model_fields) or "none"
        raise ParameterError(f"Model {kind.name} has no hyperparameter {name}. It has: {known}.")
