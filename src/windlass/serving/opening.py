"""Opens the online store that features are read from. Nothing of it is imported before there is a feature view."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.core.feature_view import ViewRecord
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.features.online.reading import FeatureReader
    from windlass.features.online.store import OnlineStore


@dataclass(frozen=True)
class Opened:
    """The store of one project, and how its features are read by a view. Any thread may use it."""

    view: ViewRecord
    store: "OnlineStore"
    reader: "FeatureReader"


@dataclass(frozen=True)
class Opener:
    """Opens the store of one project that the settings name."""

    settings: Settings
    project: str

    @property
    def inline(self) -> bool:
        """Whether the store is a file, read so fast that the event loop need not be spared."""
        return self.settings.online_url is None

    def open(self, view: ViewRecord) -> Opened:
        """The store, to be read by this view. Raises SettingsError or StorageError."""
        from windlass.features.online.reading import FeatureReader
        from windlass.features.online.store import online_store

        store = online_store(self.settings, view, self.project)
        return Opened(view, store, FeatureReader(view, store))
