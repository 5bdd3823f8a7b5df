"""Windlass takes a declared model to production: it trains, seals, serves and monitors it.

This module holds the public names.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from windlass._version import __version__ as __version__

if TYPE_CHECKING:
    from windlass.api.features import FeatureStore as FeatureStore
    from windlass.api.features import features as features
    from windlass.api.model import Model as Model
    from windlass.api.model import load as load
    from windlass.api.registry import ProjectRegistry as ProjectRegistry
    from windlass.api.registry import registry as registry
    from windlass.api.training import train as train
    from windlass.api.version import Version as Version
    from windlass.app import application as application
    from windlass.cli.train import train_command as train_command
    from windlass.client.async_client import AsyncClient as AsyncClient
    from windlass.client.client import Client as Client
    from windlass.core.bundle import Bundle as Bundle
    from windlass.core.csv_format import CsvFormat as CsvFormat
    from windlass.core.evaluation_rules import ColumnSplit as ColumnSplit
    from windlass.core.evaluation_rules import CostMatrix as CostMatrix
    from windlass.core.evaluation_rules import GroupSplit as GroupSplit
    from windlass.core.evaluation_rules import GroupTimeSplit as GroupTimeSplit
    from windlass.core.evaluation_rules import Metric as Metric
    from windlass.core.evaluation_rules import TimeSplit as TimeSplit
    from windlass.core.feature_view import FeatureView as FeatureView
    from windlass.core.gates import Gate as Gate
    from windlass.core.gates import NoFindings as NoFindings
    from windlass.core.gates import NotWorse as NotWorse
    from windlass.core.on_demand import CountWithin as CountWithin
    from windlass.core.on_demand import DaysSince as DaysSince
    from windlass.core.on_demand import HoursSince as HoursSince
    from windlass.core.on_demand import SumWithin as SumWithin
    from windlass.core.on_demand import YearsSince as YearsSince
    from windlass.core.project import Candidate as Candidate
    from windlass.core.project import Project as Project
    from windlass.core.row import Row as Row
    from windlass.core.row import column as column
    from windlass.core.targets.anomaly_score import AnomalyScore as AnomalyScore
    from windlass.core.targets.classes import Classes as Classes
    from windlass.core.targets.outputs import Outputs as Outputs
    from windlass.core.targets.quantiles import Quantiles as Quantiles
    from windlass.core.targets.quantity import Quantity as Quantity
    from windlass.core.targets.ranking import Ranking as Ranking
    from windlass.errors import ClientError as ClientError
    from windlass.errors import VersionWarning as VersionWarning
    from windlass.errors import WindlassError as WindlassError
    from windlass.monitoring.ledger_reader import read_ledger as read_ledger
    from windlass.tables.declared_table import read_table as read_table

_MODULES = {
    "AnomalyScore": "windlass.core.targets.anomaly_score",
    "AsyncClient": "windlass.client.async_client",
    "Bundle": "windlass.core.bundle",
    "Candidate": "windlass.core.project",
    "Classes": "windlass.core.targets.classes",
    "Client": "windlass.client.client",
    "ClientError": "windlass.errors",
    "ColumnSplit": "windlass.core.evaluation_rules",
    "CostMatrix": "windlass.core.evaluation_rules",
    "CountWithin": "windlass.core.on_demand",
    "CsvFormat": "windlass.core.csv_format",
    "DaysSince": "windlass.core.on_demand",
    "FeatureStore": "windlass.api.features",
    "FeatureView": "windlass.core.feature_view",
    "Gate": "windlass.core.gates",
    "GroupSplit": "windlass.core.evaluation_rules",
    "GroupTimeSplit": "windlass.core.evaluation_rules",
    "HoursSince": "windlass.core.on_demand",
    "Metric": "windlass.core.evaluation_rules",
    "Model": "windlass.api.model",
    "NoFindings": "windlass.core.gates",
    "NotWorse": "windlass.core.gates",
    "Outputs": "windlass.core.targets.outputs",
    "Project": "windlass.core.project",
    "ProjectRegistry": "windlass.api.registry",
    "Quantiles": "windlass.core.targets.quantiles",
    "Quantity": "windlass.core.targets.quantity",
    "Ranking": "windlass.core.targets.ranking",
    "Row": "windlass.core.row",
    "SumWithin": "windlass.core.on_demand",
    "TimeSplit": "windlass.core.evaluation_rules",
    "Version": "windlass.api.version",
    "VersionWarning": "windlass.errors",
    "WindlassError": "windlass.errors",
    "YearsSince": "windlass.core.on_demand",
    "application": "windlass.app",
    "column": "windlass.core.row",
    "features": "windlass.api.features",
    "load": "windlass.api.model",
    "read_ledger": "windlass.monitoring.ledger_reader",
    "read_table": "windlass.tables.declared_table",
    "registry": "windlass.api.registry",
    "train": "windlass.api.training",
    "train_command": "windlass.cli.train",
}

_OLD_NAMES = {"Stakes": "CostMatrix"}  # until 0.3

__all__ = sorted(_MODULES)  # noqa: PLE0605 - one list of names, not two; a test holds it


def __getattr__(name: str) -> object:
    """Imports a public name on first use, so that `import windlass` stays under 50 ms."""
    if name in _OLD_NAMES:
        from windlass.core.deprecation import warn_renamed

        warn_renamed(f"windlass.{name}", _OLD_NAMES[name], stacklevel=2)
        return __getattr__(_OLD_NAMES[name])
    if name not in _MODULES:
        raise AttributeError(f"module 'windlass' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Module whose public functions `registry` and `features` are not replaced by the subpackages of these names.

    The import system binds every imported subpackage as an attribute of the package; it needs no such attribute.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _MODULES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
