"""A route in words: what it is for, what it reads, answers and refuses. OpenAPI is made of these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Body = Callable[[Sequence[str]], Json]  # from the projects that a route may be of

BINARY: Json = {"schema": {"type": "string", "format": "binary"}}


@dataclass(frozen=True)
class Operation:
    """A route in words. `answer` names a schema, "" for none; `{}` in it stands for the project."""

    summary: str
    description: str
    answer: str = "Any"
    media: str = "application/json"
    errors: Sequence[str] = ()
    body: Body | None = None
    tables: Sequence[str] = ()  # media types of tables that it answers too
    # optional parameters and request headers: a schema, or the description of a text
    query: Mapping[str, str | Json] = field(default_factory=dict)
    headers: Mapping[str, str | Json] = field(default_factory=dict)
    path: Mapping[str, Json] = field(
        default_factory=dict
    )  # schemas of arguments that are not any text
    tells: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # headers by good status
    also: Mapping[str, str] = field(default_factory=dict)  # other good statuses, and their schemas
    protocol: str = ""  # whose errors are its own


@dataclass(frozen=True)
class Chapter:
    """One room's share of the document: its operations by route, and the schemas they name.

    A route goes by its label, or by method and label where several have one: `DELETE /jobs/{job}`.
    """

    operations: Mapping[str, Operation]
    schemas: Callable[[], Json]
