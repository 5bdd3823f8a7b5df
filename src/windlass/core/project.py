"""A project: what the user declares, checked once."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from windlass.core.bundle import PROJECT_NAME
from windlass.core.candidate import Candidate
from windlass.core.gates import Gate
from windlass.core.row import read_row
from windlass.core.schema import RowSchema
from windlass.core.target import Classes, Quantity, Target
from windlass.errors import ProjectError

RESERVED = frozenset({"model", "seed", "test_size", "artifacts", "track", "data", "json", "help"})
_LEDGER = frozenset(
    {
        "latency_ms",
        "model_version",
        "predicted_at",
        "prediction",
        "prediction_id",
        "request_id",
        "row",
    }
)
_ROUTES = frozenset(
    {"docs", "features", "health", "invocations", "jobs", "livez", "metrics", "openapi", "outcomes", "ping",
     "predict", "predict_batch", "readyz", "status", "train", "ui", "v1", "v2", "version", "versions"}
)  # fmt: skip
_NAME = re.compile(PROJECT_NAME)


@dataclass(frozen=True)
class Project:
    """A project, as `project.py` declares it. The first candidate is the default.

    `data` returns the labelled rows: a table (pandas, polars, pyarrow, or a dict of columns) that
    holds the row's columns and the target's. Missing values are null or NaN.
    """

    name: str
    row: type[BaseModel]
    target: Target
    data: Callable[[], Any]
    candidates: tuple[type[Candidate], ...]
    gates: tuple[Gate, ...] = ()
    description: str = ""
    schema: RowSchema = field(init=False, repr=False)

    def __init__(  # noqa: PLR0913 - the declaration: every argument is a keyword that the user reads
        self,
        *,
        name: str,
        row: type[BaseModel],
        target: Target,
        data: Callable[[], Any],
        candidates: Iterable[type[Candidate]],
        gates: Iterable[Gate] = (),
        description: str = "",
    ) -> None:
        values = {
            "name": name,
            "row": row,
            "target": target,
            "data": data,
            "description": description,
            "candidates": tuple(candidates),
            "gates": tuple(gates),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        self._check_kinds()
        object.__setattr__(self, "schema", read_row(row))
        self._check_names()
        self._check_candidates()

    def _check_kinds(self) -> None:
        wanted = (
            (isinstance(self.name, str), "name is a text"),
            (
                _is_kind(self.row, BaseModel),
                "row is a subclass of windlass.Row (the class, not a row)",
            ),
            (
                isinstance(self.target, Classes | Quantity),
                "target is a Classes(…) or a Quantity(…)",
            ),
            (
                callable(self.data),
                "data is a function that returns a table (the function, not its call)",
            ),
            (
                all(_is_kind(candidate, Candidate) for candidate in self.candidates),
                "candidates are subclasses of windlass.Candidate",
            ),
            (all(isinstance(gate, Gate) for gate in self.gates), "gates are Gate(…)"),
        )
        for fits, rule in wanted:
            if not fits:
                raise ProjectError(f"Project {self.name!r}: {rule}.")

    def _check_names(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in _ROUTES:
            raise ProjectError(
                f"Project name {self.name!r} is not usable in a URL, or is a route of the server."
                " Use other lower-case letters, digits, - and _, starting with a letter."
            )
        if self.target.name in self.schema.names:
            raise ProjectError(
                f"Target {self.target.name!r} of project {self.name!r} is also a column of its row."
            )
        for name in self.schema.names:
            if name in _LEDGER or name.startswith("probability_"):
                raise ProjectError(
                    f"Column {name!r} of project {self.name!r} has the name of something that Windlass adds"
                    " to predictions. Call it something else."
                )

    def _check_candidates(self) -> None:
        names = [candidate.name for candidate in self.candidates]
        if not names or len(set(names)) < len(names):
            raise ProjectError(
                f"Project {self.name!r} needs candidates with different names, got {names}."
            )
        for candidate in self.candidates:
            where = f"Candidate {candidate.name!r} of project {self.name!r}"
            if candidate.build is Candidate.build:
                raise ProjectError(
                    f"{where} has no method build(self, seed), which makes its estimator."
                )
            for name, hyperparameter in candidate.model_fields.items():
                if name in RESERVED:
                    raise ProjectError(
                        f"{where} has the field {name!r}, which names an argument of every training."
                        " Call it something else."
                    )
                if hyperparameter.is_required():
                    raise ProjectError(
                        f"{where}: hyperparameter {name!r} has no default. Give it one."
                    )

    def candidate(self, name: str) -> type[Candidate]:
        """The candidate of this name. Raises ProjectError, naming those there are."""
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        known = ", ".join(candidate.name for candidate in self.candidates)
        raise ProjectError(f"Project {self.name!r} has no model {name!r}. Choose one of: {known}.")


def _is_kind(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base)
