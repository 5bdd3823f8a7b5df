"""`windlass.features`: the features of a project as they are now, as they were, and as training reads them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from windlass.core.display import format_time, html_table, utc_time
from windlass.core.error_descriptions import describe_error, missing_extra
from windlass.core.feature_view import FeatureView, ServedEvent, ViewRecord
from windlass.core.project_loader import load_project
from windlass.errors import FeatureError, counted
from windlass.settings import Settings
from windlass.tables.frames import FrameKind, frame_kind, from_arrow
from windlass.workflows.declared_view import DeclaredView, require_view, resolve_view
from windlass.workflows.features import read_features
from windlass.workflows.project_lookup import resolve_folder, settings_near

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from windlass.features.offline.snapshot import Snapshot
    from windlass.features.offline.store import OfflineStore
    from windlass.features.online.reader import Features

Table = Literal["events", "states", "latest"]


def features(project: str | Path = ".") -> "FeatureStore":
    """Returns the features of a project that declares a feature view.

    Args:
        project: Name or folder of the project.

    Raises:
        FeatureError: The project declares no feature view, or a package of the extra `features` is missing.
        ProjectError: There is no such project.
    """
    settings = settings_near(Path(project))
    declared = resolve_view(settings, Path(project), _warn)
    return FeatureStore(declared, Path(project), settings)


class FeatureStore:
    """Features of one project: online, those of each entity now; offline, in snapshots, those of every time.

    Every method raises FeatureError for what is not built, cannot be read or was changed; StorageError where the
    online store fails.
    """

    def __init__(self, declared: DeclaredView, target: Path, settings: Settings) -> None:
        self._declared = declared
        self._target = target
        self._settings = settings

    @property
    def project(self) -> str:
        """Name of the project."""
        return self._declared.name

    @property
    def view(self) -> ViewRecord:
        """The declared view: `name`, `entity`, `timestamp`, `features` and more."""
        return self._declared.view

    @overload
    def get(
        self, entity: Sequence[Any], at: ServedEvent | None = None
    ) -> "list[Features | None]": ...

    @overload
    def get(self, entity: Any, at: ServedEvent | None = None) -> "Features": ...

    def get(self, entity: Any, at: ServedEvent | None = None) -> Any:
        """Returns the features of an entity, or of several, from the online store.

        Args:
            entity: Id, or a list of ids. The id of several columns is a tuple in their order, or a mapping.
            at: The event that they are for: `"latest"` or `"next"`. Default: what the view serves.

        Returns:
            For one id its features: `values` by name, `as_of` (day or time of the latest event), `computed_at`, `stale`
            and `view`. For a list one of these for each id, in order; None for an entity that the store does not know.

        Raises:
            FeatureError: The store does not know the one entity; nothing is materialised; `at` is something else.
        """
        if at not in (None, "latest", "next"):
            raise FeatureError(f"Features are at 'latest' or 'next', not {at!r}.")
        is_tuple_id = isinstance(entity, tuple) and len(self.view.entity_columns) > 1
        is_many = isinstance(entity, Sequence) and not (isinstance(entity, str) or is_tuple_id)
        many = list(entity) if is_many else [entity]
        answers = read_features(self._settings, self._declared, many, at)
        if is_many:
            return answers
        if answers[0] is None:
            raise FeatureError(
                f"The online store of {self.project} knows no {','.join(self.view.entity_columns)} {entity}. Bring it"
                " up to date with `windlass features materialise`, or look the id up."
            )
        return answers[0]

    def snapshots(self) -> "Snapshots":
        """Returns all snapshots of the offline store, newest first."""
        return Snapshots(map(FeatureSnapshot, self._store().snapshots()))

    def snapshot(self, number: int | None = None) -> "FeatureSnapshot":
        """Returns a snapshot by its number, by default the current one."""
        return FeatureSnapshot(self._store().snapshot(number))

    def training_rows(self, snapshot: int | None = None, frame: FrameKind = "pandas") -> Any:
        """Returns the rows that training reads: each event, with the features as they were before it.

        Args:
            snapshot: Number of the snapshot. Default: the current one.
            frame: Library of the result: `"pandas"`, `"polars"` or `"arrow"`.

        Returns:
            A frame [n, k] of all events, sorted by time and event id: the features, then the event's own columns.

        Raises:
            FeatureError: Another version of the view computed the snapshot, or a part of it was changed.
            ProjectError: The project's code, which declares the view, cannot be loaded.
        """
        from windlass.features.offline.training_set import training_rows

        stored = self._store().snapshot(snapshot)
        rows = training_rows(self._view_with_code(), self.view, stored)
        return rows if frame == "polars" else from_arrow(rows.to_arrow(), frame)

    def point_in_time(
        self,
        labels: Any,
        time: str | None = None,
        *,
        key: str | None = None,
        dtypes: Mapping[str, Any] | None = None,
        snapshot: int | None = None,
    ) -> Any:
        """Returns labels with the features as they were known before each of them: the point-in-time join.

        Args:
            labels: Frame (pandas, Polars or Arrow) [n, k] with the entity's columns and a time, or the path of a CSV or
                Parquet file of them.
            time: Column of `labels` with the dates or times. Default: named as the view's timestamp.
            key: Column of event ids that orders labels of one time. Default: no event of that time counts.
            dtypes: Polars types of columns of a file that the events do not have.
            snapshot: Number of the snapshot. Default: the current one.

        Returns:
            The labels [n] in their order, and beside them the features, in a frame of the same library; of pandas with
            the same index. Of a file a pandas frame. Features are null for an entity that was not known then.

        Raises:
            FeatureError: The labels do not fit, or the snapshot cannot be used.
        """
        from windlass.features.offline.point_in_time import point_in_time

        stored = self._store().snapshot(snapshot)
        time = self.view.timestamp if time is None else time
        joined = point_in_time(self.view, stored, labels, time, key, dtypes)
        kind = frame_kind(labels)
        if kind != "pandas":
            return from_arrow(joined, kind or "pandas")
        import pandas as pd

        columns = from_arrow(joined.select(list(self.view.features)), "pandas", labels.index)
        return pd.concat([labels, columns], axis="columns")

    def _store(self) -> "OfflineStore":
        try:
            from windlass.features.offline.store import OfflineStore
        except ModuleNotFoundError as error:
            raise FeatureError(f"{missing_extra(error) or describe_error(error)}.") from error
        return OfflineStore.from_settings(self._settings, self.project)

    def _view_with_code(self) -> FeatureView:
        return require_view(load_project(resolve_folder(self._target, self._settings))[0])

    def __repr__(self) -> str:
        return f"<FeatureStore {self.project}, view {self.view.name}>"


class FeatureSnapshot:
    """Snapshot of a project's features: all events, the state after each, and the latest state of each entity.

    Its tables are `events` (the raw rows that passed), `states` (row by row beside the events) and `latest` (a row for
    each entity). Erased entities are in none of them. Every method raises FeatureError where a part was changed.
    """

    def __init__(self, snapshot: "Snapshot") -> None:
        self._snapshot = snapshot

    @property
    def number(self) -> int:
        """Number of the snapshot."""
        return self._snapshot.number

    @property
    def created(self) -> datetime:
        """Time of the build, in UTC."""
        return utc_time(self._snapshot.created)

    @property
    def events(self) -> int:
        """Number of events."""
        return self._snapshot.events

    @property
    def entities(self) -> int:
        """Number of entities."""
        return self._snapshot.entities

    @property
    def newest(self) -> date | None:
        """Day of the newest event."""
        return self._snapshot.newest

    @property
    def view_version(self) -> str:
        """Version of the view that computed it."""
        return self._snapshot.view

    @property
    def digest(self) -> str:
        """Digest of its events and states."""
        return self._snapshot.digest

    @property
    def quality(self) -> dict[str, Any]:
        """Report on the quality of the raw file that it was built from."""
        return dict(self._snapshot.quality)

    def to_pandas(self, table: Table = "states") -> "pd.DataFrame":
        """Returns a table as a pandas frame [n, k], read whole."""
        frame: pd.DataFrame = from_arrow(self.to_polars(table).collect().to_arrow(), "pandas")
        return frame

    def to_polars(self, table: Table = "states") -> "pl.LazyFrame":
        """Returns a table as a lazy Polars frame: only what a query needs is read."""
        from windlass.features.offline.training_set import SnapshotParts

        return SnapshotParts.open(self._snapshot, _table_name(table)).scan()

    def to_duckdb(self, table: Table = "states", connection: Any = None) -> Any:
        """Returns a table as a relation of DuckDB, in `connection` or a new one: only what a query needs is read."""
        from windlass.features.engines.duckdb import snapshot_relation
        from windlass.features.offline.training_set import SnapshotParts

        parts = SnapshotParts.open(self._snapshot, _table_name(table))
        return snapshot_relation(parts.parts, parts.erased_entities(), connection)

    def __repr__(self) -> str:
        return f"<FeatureSnapshot {self.number}: {counted(self.events, 'event')}, {counted(self.entities, 'entity')}>"

    def _repr_html_(self) -> str:
        return Snapshots([self])._repr_html_()


class Snapshots(list[FeatureSnapshot]):
    """Snapshots, newest first; a table in a notebook."""

    def _repr_html_(self) -> str:
        header = ("snapshot", "built", "view", "events", "entities", "newest", "digest")
        rows = [
            (
                each.number,
                format_time(each.created),
                each.view_version,
                f"{each.events:,}",
                f"{each.entities:,}",
                each.newest,
                each.digest[:12],
            )
            for each in self
        ]
        return html_table(header, rows)


def _table_name(table: str) -> str:
    if table not in ("events", "states", "latest"):
        raise FeatureError(f"A snapshot has no table {table!r}. Choose events, states or latest.")
    return table


def _warn(text: str) -> None:
    import warnings

    warnings.warn(text, RuntimeWarning, stacklevel=5)
