"""A registered version as the Python API shows it: what it is, and what may be done with it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.core.bundle import Bundle
from windlass.core.display import (
    Metrics,
    ModelCard,
    format_gate,
    format_number,
    format_time,
    format_values,
    html_table,
    utc_time,
)
from windlass.core.gates import GateResult
from windlass.core.leading_metrics import order_metrics, summarise_metrics
from windlass.registry.version import Version as VersionRecord
from windlass.settings import Settings
from windlass.workflows.project_lookup import decision_actor, open_registry

if TYPE_CHECKING:
    from windlass.api.model import Model
    from windlass.registry.comparison import Comparison
    from windlass.registry.decisions import Decision


class Version:
    """Version of a project in the registry.

    It is as it was when it was read: `refresh` reads it again, and decisions do so by themselves.
    """

    def __init__(
        self, record: VersionRecord, settings: Settings, warnings: Sequence[str] = ()
    ) -> None:
        """`warnings` are those of its training, where it was just trained."""
        self._record = record
        self._settings = settings
        self.warnings = tuple(warnings)

    @property
    def project(self) -> str:
        """Name of the project."""
        return self._record.project

    @property
    def name(self) -> str:
        """Name of the version, such as `v3`."""
        return self._record.name

    @property
    def number(self) -> int:
        """Number of the version: 3 of `v3`."""
        return self._record.number

    @property
    def stage(self) -> str:
        """Stage: `candidate`, `production`, `archived` or `rejected`."""
        return self._record.stage.value

    @property
    def metrics(self) -> Metrics:
        """Metrics on the test rows, by name; first those of the gates and those that suit the target."""
        return Metrics(order_metrics(self._record.facts.get("metrics", {}), self._record.rules))

    @property
    def params(self) -> dict[str, Any]:
        """Arguments of the training, with the model's name and every hyperparameter."""
        return dict(self._record.facts.get("params", {}))

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """Results of the project's gates: `rule`, `value`, `passed`, `note`, `undecided`."""
        return self._record.gates

    @property
    def engine(self) -> dict[str, Any]:
        """Engine that serves it: its `name`; if that is `native`, the `reason`; and the comparison, `equality`."""
        return dict(self._record.facts.get("engine", {}))

    @property
    def digest(self) -> str:
        """Digest of its bundle, to which decisions refer: SHA-256, 64 hexadecimal digits."""
        return self._record.digest

    @property
    def data_digest(self) -> str:
        """Digest of the rows that it was trained on."""
        return str(self._record.facts.get("data_digest", ""))

    @property
    def created_at(self) -> datetime:
        """Time of its registration, in UTC."""
        return utc_time(self._record.created_at)

    @property
    def trained_by(self) -> str:
        """Name of the user or of the key that trained it."""
        return self._record.trained_by

    @property
    def job_id(self) -> str | None:
        """Id of the job that trained it; None for a training in a notebook."""
        return self._record.job_id

    @property
    def path(self) -> Path:
        """Folder of its bundle on this machine, fetched and verified.

        Raises RegistryError where the bundle was pruned, IntegrityError where it was altered, StorageError.
        """
        return self._bundle().path

    @property
    def card(self) -> ModelCard:
        """Model card, in Markdown. Raises as `path`."""
        return ModelCard(self._bundle().read("card.md").decode("utf-8"))

    def load(self) -> "Model":
        """Returns the model of this version, whatever its stage, ready to predict.

        Raises RegistryError, IntegrityError, EngineError, StorageError; SettingsError without a signature's key.
        """
        from windlass.api.model import Model
        from windlass.core.bundle_trust import BundleTrust

        bundle = self._bundle()
        BundleTrust.from_settings(self._settings).require(bundle)
        return Model(bundle)

    def approve(self, reason: str, *, key: str | None = None) -> "Decision":
        """Puts this candidate in production.

        Args:
            reason: Why, for those who read it later. It is stored for good.
            key: API key of whoever decides, with the role `approve`. Default: WINDLASS_KEY; without any, this
                machine's user decides.

        Returns:
            The decision, with its place in the chain of decisions.

        Raises:
            RegistryError: It is not a candidate, a gate fails, or the project needs four eyes and they are two.
            AccessError: The key is unknown, or lacks the role.
            StorageError: Database or bundle store cannot be used; nothing has changed.
        """
        with open_registry(self._settings) as registry:
            actor = decision_actor(registry, self._settings.key if key is None else key)
            decision = registry.approve(self.project, self.name, actor=actor, reason=reason)
            self._record = registry.version(self.project, self.name)
        return decision

    def reject(self, reason: str, *, key: str | None = None) -> "Decision":
        """Rejects this candidate, for good; arguments, result and errors are those of `approve`."""
        with open_registry(self._settings) as registry:
            actor = decision_actor(registry, self._settings.key if key is None else key)
            decision = registry.reject(self.project, self.name, actor=actor, reason=reason)
            self._record = registry.version(self.project, self.name)
        return decision

    def compare(self, other: "Version | str") -> "VersionComparison":
        """Compares it with another version of the project, on the rows that neither was trained on.

        Raises UnknownError, RegistryError where a bundle was pruned, IntegrityError, StorageError.
        """
        name = other if isinstance(other, str) else other.name
        return compare_versions(self._settings, self.project, self.name, name)

    def refresh(self) -> "Version":
        """Reads it from the registry again, and returns it. Raises StorageError."""
        with open_registry(self._settings) as registry:
            self._record = registry.version(self.project, self.name)
        return self

    def _bundle(self) -> Bundle:
        with open_registry(self._settings) as registry:
            return registry.fetch(self._record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, int, str]:
        return self.project, self.number, self.digest

    def __repr__(self) -> str:
        return f"<Version {self.project} {self.name} ({self.stage})>"

    def _repr_html_(self) -> str:
        params = self.params
        facts = [
            ("stage", self.stage),
            ("model", params.pop("model", "")),
            ("hyperparameters", format_values(params)),
            ("trained", f"{format_time(self.created_at)} by {self.trained_by}"),
            *((name, format_number(value)) for name, value in self.metrics.items()),
            *(("gate", format_gate(gate)) for gate in self.gates),
            ("digest", self.digest),
        ]
        return html_table(("", ""), facts, f"{self.project} {self.name}")


class Versions(list[Version]):
    """Versions of a project, newest first; a table in a notebook."""

    def _repr_html_(self) -> str:
        header = ("version", "stage", "trained", "by", "model", "metrics", "gates", "digest")
        rows = [
            (
                version.name,
                version.stage,
                format_time(version.created_at),
                version.trained_by,
                version.params.get("model", ""),
                summarise_metrics(version.metrics, [gate.rule for gate in version.gates]),
                "; ".join(map(format_gate, version.gates)),
                version.digest[:12],
            )
            for version in self
        ]
        return html_table(header, rows)


class VersionComparison:
    """Comparison of two versions of a project on the rows that both held out; a table in a notebook.

    `result` holds the numbers: `rows`, `metrics` with intervals, `mcnemar`, `obstacle`. `str` gives it in words.
    """

    def __init__(self, first: str, second: str, result: "Comparison") -> None:
        self.first = first
        self.second = second
        self.result = result

    @property
    def rows(self) -> int:
        """Number of rows that both held out."""
        return self.result.rows

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as JSON values, as `windlass compare --json` prints it."""
        return {"versions": [self.first, self.second], **self.result.json()}

    def __str__(self) -> str:
        lines = [self.result.summary(self.first, self.second)]
        return "\n".join([*lines, *(f"{name}: {text}" for name, *_, text in self._lines())])

    def __repr__(self) -> str:
        return f"<VersionComparison {self.first} against {self.second}, {self.rows} common rows>"

    def _lines(self) -> list[tuple[str, ...]]:
        return [
            (
                each.metric,
                f"{each.a:.4f}",
                f"{each.b:.4f}",
                f"{each.difference:+.4f}",
                f"{each.low:+.4f} to {each.high:+.4f}",
                each.verdict(self.first, self.second),
            )
            for each in self.result.metrics
        ]

    def _repr_html_(self) -> str:
        interval = f"{self.result.confidence:.0%} interval"
        difference = f"{self.first} - {self.second}"
        header = ("metric", self.first, self.second, difference, interval, "")
        return html_table(header, self._lines(), self.result.summary(self.first, self.second))


def compare_versions(
    settings: Settings, project: str, first: str, second: str
) -> VersionComparison:
    """Compares two versions of a project by name. Raises UnknownError, RegistryError, IntegrityError, StorageError."""
    from windlass.registry.comparison import compare

    with open_registry(settings) as registry:
        bundles = [registry.fetch(registry.version(project, name)) for name in (first, second)]
    return VersionComparison(first, second, compare(*bundles))
