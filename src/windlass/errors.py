"""All error classes; every message says what failed, on which named object, and what to do next.

WindlassError
├── SettingsError        an environment variable or option cannot be used
├── ProjectError         a project.py cannot be found, loaded or declares something impossible
├── DataError            training data does not match the declaration
├── ParameterError       arguments of a training run cannot be used
├── BundleError          a bundle cannot be found, read or written
│   └── IntegrityError   files of a bundle are not those that were sealed
├── EngineError          a model that cannot be loaded, fails, or does not reproduce its reference examples
│   └── RejectedRowsError   valid rows for which the model has no prediction; lists the faults
├── InputError           a body or a file cannot be read as rows
│   ├── TableError       a table cannot be read; says why without quoting it
│   │   └── BrokenLineError  a line of CSV is not a row
│   └── RowsError        rows do not match their schema; lists the faults
├── LedgerError          the ledger cannot be written or read
├── FeatureError         features cannot be built, stored or read
│   ├── IdError          an id of an entity does not have the type of its column
│   └── QualityError     more raw rows break the contract than the view allows
├── StorageError         the database or the bundle store cannot be reached, read or written
├── RegistryError        the registry rejects a request: wrong stage, failed gate, four-eyes rule
│   └── UnknownError     no such project, version or job
├── JobError             a job cannot be started, or its state does not allow the request
├── AccessError          an API key cannot be created, found or used
└── ClientError          a request of windlass.Client failed
    ├── ServerUnreachableError   there is no answer: no connection, or none in time
    ├── TrainingFailedError      the server's training failed or was cancelled
    └── ResponseError            the server refused; carries its problem
        ├── AuthenticationError      401: no key, or an unknown one
        ├── PermissionDeniedError    403: the key's role does not suffice
        ├── NotFoundError            404: no such project, version, job or entity
        ├── ConflictError            409: the state does not allow it, or the model does not fit
        ├── PayloadTooLargeError     413: the body is over the server's limit
        ├── UnprocessableError       422: rows or fields are not valid; lists the faults
        ├── RateLimitError           429: too many requests; says when to try again
        └── ServerError              5xx: the server failed
            └── UnavailableError     503: not ready, or something that it needs is not there
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

Fault = dict[str, Any]


class WindlassError(Exception):
    """Base of all errors of Windlass. `str(error)` can be shown to a user."""


def counted(count: int, noun: str) -> str:
    """Returns a number and its noun for a message: `1 row`, `2,000 rows`, `2 entities`, `3 classes`."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("s"):
        return f"{count:,} {noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{count:,} {noun[:-1]}ies"
    return f"{count:,} {noun}s"


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """Returns the one of `names` that a misspelt name probably means; None where none is near."""
    plain = {re.sub(r"[\W_]+", "", each).lower(): each for each in names}
    near = get_close_matches(re.sub(r"[\W_]+", "", name[:100]).lower(), plain, 1, 0.75)
    return plain[near[0]] if near else None


def error_text(error: BaseException) -> str:
    """Returns an error for logs and status pages: its message, behind its type unless it is one of ours."""
    return str(error) if isinstance(error, WindlassError) else f"{type(error).__name__}: {error}"


def _first_fault(faults: Sequence[Fault]) -> str:
    where = ".".join(map(str, faults[0]["loc"]))
    return f"{where}: {faults[0]['msg']}" if where else str(faults[0]["msg"])


class VersionWarning(UserWarning):
    """A version is used that is not in production: a candidate, a rejected or an archived one."""


class SettingsError(WindlassError):
    """An environment variable or an option cannot be used."""


class ProjectError(WindlassError):
    """A `project.py` cannot be found, loaded, or declares something impossible."""


class DataError(WindlassError):
    """Training data does not match the project's declaration."""


class ParameterError(WindlassError):
    """Arguments of a training run cannot be used."""


class BundleError(WindlassError):
    """A bundle cannot be found, read or written."""


class IntegrityError(BundleError):
    """Files of a bundle are not those that were sealed."""


class EngineError(WindlassError):
    """A model cannot be loaded, fails, or does not reproduce its reference examples."""


class RejectedRowsError(EngineError):
    """The model has no prediction for valid rows, such as those with a category that it does not know.

    `faults` lists places and reasons, `{"loc": [row, field], "msg": …}`, without the values.
    """

    def __init__(self, faults: Sequence[Fault], *, message: str | None = None) -> None:
        super().__init__(message or _first_fault(faults))
        self.faults = faults


class InputError(WindlassError):
    """A body or a file cannot be read as rows."""


class TableError(InputError):
    """A table cannot be read.

    `reason` says why, and quotes nothing of the table; it is empty where no such reason is known.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class BrokenLineError(TableError):
    """A line of CSV is not a row: it has more or fewer cells than the header, or a quote that is not closed."""


class RowsError(InputError):
    """Rows do not match their schema.

    `faults` lists places and reasons, `{"loc": […], "msg": …}`, without the values. `malformed` is true if the
    input was not JSON.
    """

    def __init__(
        self, faults: Sequence[Fault], *, malformed: bool = False, message: str | None = None
    ) -> None:
        super().__init__(message or _first_fault(faults))
        self.faults = faults
        self.malformed = malformed


class LedgerError(WindlassError):
    """The ledger cannot be written or read."""


class FeatureError(WindlassError):
    """Features cannot be built, stored or read; what was stored before is unchanged."""


class IdError(FeatureError):
    """An id of an entity does not have the type of its column.

    `column` names it, and is None where the id has other columns than the entity. `reason` quotes no id.
    """

    def __init__(self, column: str | None, reason: str) -> None:
        super().__init__(f"{reason}." if column is None else f"{column}: {reason}.")
        self.column = column
        self.reason = reason


class QualityError(FeatureError):
    """More raw rows break the contract than the view allows; they are in quarantine, with reasons."""


class StorageError(WindlassError):
    """The database or the bundle store cannot be reached, read or written; a started change is rolled back."""


class RegistryError(WindlassError):
    """The registry rejects a request; nothing has changed."""


class UnknownError(RegistryError):
    """The registry has no such project, version or job."""


class JobError(WindlassError):
    """A job cannot be started, or its state does not allow the request."""


class AccessError(WindlassError):
    """An API key cannot be created, found or used."""


class ClientError(WindlassError):
    """A request of `windlass.Client` failed."""


class ServerUnreachableError(ClientError):
    """A server gave no answer: there is no connection, or nothing came in time."""


class TrainingFailedError(ClientError):
    """A training that the client requested failed, or was cancelled. `job_id` names its job."""

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


@dataclass(frozen=True)
class ProblemDetails:
    """Problem document of a server (RFC 9457).

    `errors` lists places and reasons, `{"loc": […], "msg": …}`; `extensions` holds further members, such as the id of a
    job that failed. `request_id` finds the request in the server's log.
    """

    status: int
    title: str
    detail: str
    errors: tuple[Fault, ...] = ()
    request_id: str | None = None
    retry_after: float | None = None  # seconds
    extensions: Mapping[str, Any] = field(default_factory=dict)


class ResponseError(ClientError):
    """A server refused a request. `problem` is what it answered."""

    def __init__(self, problem: ProblemDetails) -> None:
        text = f"{problem.status} {problem.title}: {problem.detail}".rstrip(": ")
        first = f" {_first_fault(problem.errors)}" if problem.errors else ""
        super().__init__(text + first)
        self.problem = problem

    @property
    def status(self) -> int:
        """HTTP status of the answer."""
        return self.problem.status

    @property
    def title(self) -> str:
        """Title of the status, such as `Not Found`."""
        return self.problem.title

    @property
    def detail(self) -> str:
        """What the server says, and what to do next."""
        return self.problem.detail

    @property
    def errors(self) -> tuple[Fault, ...]:
        """Places and reasons, `{"loc": [row, column], "msg": …}`; rows are counted from 0."""
        return self.problem.errors

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the server can be asked again; None where it does not say."""
        return self.problem.retry_after


class AuthenticationError(ResponseError):
    """The request has no key, or one that the server does not know (401)."""


class PermissionDeniedError(ResponseError):
    """The key's role does not suffice (403)."""


class NotFoundError(ResponseError):
    """The server has no such project, version, job or entity (404)."""


class ConflictError(ResponseError):
    """The state of a version or job does not allow the request, or features do not fit the model (409)."""


class PayloadTooLargeError(ResponseError):
    """The body is over the server's limit (413)."""


class UnprocessableError(ResponseError):
    """Rows or fields are not valid (422); `errors` lists them."""


class RateLimitError(ResponseError):
    """There were too many requests (429); `retry_after` says when to try again."""


class ServerError(ResponseError):
    """The server failed (5xx)."""


class UnavailableError(ServerError):
    """The server is not ready, or something that it needs is not available (503)."""
