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
│   └── RowsError        rows do not match their schema; lists the faults
├── LedgerError          the ledger cannot be written or read
├── FeatureError         features cannot be built, stored or read
│   └── QualityError     more raw rows break the contract than the view allows
├── StorageError         the database or the bundle store cannot be reached, read or written
├── RegistryError        the registry rejects a request: wrong stage, failed gate, four-eyes rule
│   └── UnknownError     no such project, version or job
├── JobError             a job cannot be started, or its state does not allow the request
└── AccessError          an API key cannot be created, found or used
"""

from collections.abc import Sequence
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


def error_text(error: BaseException) -> str:
    """Returns an error for logs and status pages: its message, behind its type unless it is one of ours."""
    return str(error) if isinstance(error, WindlassError) else f"{type(error).__name__}: {error}"


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

    def __init__(self, faults: Sequence[Fault]) -> None:
        where = ".".join(map(str, faults[0]["loc"]))
        super().__init__(f"{where}: {faults[0]['msg']}")
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


class RowsError(InputError):
    """Rows do not match their schema.

    `faults` lists places and reasons, `{"loc": […], "msg": …}`, without the values. `malformed` is true if the
    input was not JSON.
    """

    def __init__(self, faults: Sequence[Fault], *, malformed: bool = False) -> None:
        first = faults[0]
        where = ".".join(map(str, first["loc"]))
        super().__init__(f"{where}: {first['msg']}" if where else str(first["msg"]))
        self.faults = faults
        self.malformed = malformed


class LedgerError(WindlassError):
    """The ledger cannot be written or read."""


class FeatureError(WindlassError):
    """Features cannot be built, stored or read; what was stored before is unchanged."""


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
