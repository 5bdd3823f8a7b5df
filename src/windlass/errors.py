"""The whole error tree. Every message says what failed, on which named object, and what to do next.

WindlassError
├── SettingsError        an environment variable or option cannot be used
├── ProjectError         a project.py cannot be found, loaded or declares something impossible
├── DataError            training data that does not fit the declaration
├── ParameterError       arguments of a training run that cannot be used
├── BundleError          a bundle cannot be found, read or written
│   └── IntegrityError   a bundle whose files are not what was sealed
├── EngineError          a model that cannot be loaded, or does not reproduce its reference examples
├── InputError           a body or a file that cannot be read as rows
│   └── RowsError        rows that do not fit their declaration, field by field
├── LedgerError          the ledger cannot be written or read
├── FeatureError         features cannot be built, stored or read as asked
│   └── QualityError     more raw rows break the contract than the view allows
├── StorageError         the database or the bundle store cannot be reached, read or written
├── RegistryError        the registry refuses: an illegal move, a gate not passed, too few eyes
│   └── UnknownError     it knows no such project, version or job
├── JobError             a job cannot be taken, or is not in a state for what is asked
└── AccessError          a key cannot be made, found or used
"""

from collections.abc import Sequence
from typing import Any

Fault = dict[str, Any]


class WindlassError(Exception):
    """Base of everything Windlass raises on purpose. `str(error)` is fit to show to a user."""


class SettingsError(WindlassError):
    """An environment variable or an option cannot be used."""


class ProjectError(WindlassError):
    """A `project.py` cannot be found, loaded, or declares something impossible."""


class DataError(WindlassError):
    """Training data does not fit the project's declaration."""


class ParameterError(WindlassError):
    """Arguments of a training run cannot be used."""


class BundleError(WindlassError):
    """A bundle cannot be found, read or written."""


class IntegrityError(BundleError):
    """A bundle holds other files than those that were sealed."""


class EngineError(WindlassError):
    """A model cannot be loaded, or does not reproduce its reference examples."""


class InputError(WindlassError):
    """A body or a file cannot be read as rows."""


class RowsError(InputError):
    """Rows do not fit their declaration.

    `faults` says what and where, `{"loc": […], "msg": …}`, without the values; `malformed` that the
    input was no JSON at all.
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
    """Features cannot be built, stored or read as asked; what was there before still stands."""


class QualityError(FeatureError):
    """More raw rows break the contract than the view allows. They are in quarantine, with the reasons."""


class StorageError(WindlassError):
    """The database or the bundle store cannot be reached, read or written. What was begun is undone."""


class RegistryError(WindlassError):
    """The registry refuses what is asked, and nothing has changed."""


class UnknownError(RegistryError):
    """The registry knows no such project, version or job."""


class JobError(WindlassError):
    """A job cannot be taken, or is not in a state for what is asked."""


class AccessError(WindlassError):
    """A key cannot be made, found or used."""
