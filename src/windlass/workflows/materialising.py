"""Bringing a project's online store up to a snapshot of its offline store."""

from typing import TYPE_CHECKING

from windlass.core.feature_view import ViewRecord
from windlass.settings import Settings
from windlass.training.request import Progress

if TYPE_CHECKING:
    from windlass.features.online.materialise import Materialised
    from windlass.features.snapshot import Snapshot


def materialise_features(
    settings: Settings, record: ViewRecord, project: str, number: int | None, progress: Progress
) -> tuple["Snapshot", "Materialised"]:
    """Write the newest states of the snapshot of this number, or of the current one: which it was, what was done.

    Raises FeatureError where there is no such snapshot, or a part of it is not as it was written; SettingsError;
    StorageError where the online store fails.
    """
    from windlass.features.offline import OfflineStore
    from windlass.features.online.materialise import materialise
    from windlass.features.online.store import online_store
    from windlass.features.snapshot import LATEST

    snapshot = OfflineStore.of(settings, project).snapshot(number)
    store = online_store(settings, record, project)
    try:
        parts = snapshot.verified(LATEST)
        return snapshot, materialise(store, record, parts, snapshot, progress)
    finally:
        store.close()
