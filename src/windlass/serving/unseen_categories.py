"""Counts the categories that a model is asked about and was not trained on, by column and never by value.

The categories of a version are those that `profile.json` names.
"""

import json

from pydantic import ValidationError

from windlass.core.batch import Batch
from windlass.core.bundle import Bundle
from windlass.core.profile import CategoryProfile, Profile
from windlass.core.row_schema import MISSING_TEXT
from windlass.errors import IntegrityError
from windlass.monitoring.metrics import ServerMetrics, UnseenCounter

_PROFILE_FILE = "profile.json"


class SeenCategories:
    """Categories of the training rows of a version, of each text column that takes any text.

    `columns` are the names of the columns whose categories are all known, `unknown` those that have too many, or
    whose bundle does not name them.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Reads `profile.json`; without it, all columns are unknown. Raises IntegrityError where it is damaged."""
        self.columns: list[str] = []
        self.unknown: list[str] = []
        self._seen: list[tuple[int, frozenset[str]]] = []  # (index in Batch.text, categories)
        text = bundle.schema.row.text
        # of a closed set, other categories are refused
        is_open = [index for index, column in enumerate(text) if column.categories is None]
        profiles = _category_profiles(bundle) if is_open else {}
        for index in is_open:
            name = text[index].name
            profile = profiles.get(name)
            seen = None if profile is None else profile.seen
            if seen is None:
                self.unknown.append(name)
            else:
                self.columns.append(name)
                self._seen.append((index, seen | {MISSING_TEXT}))

    def counter(
        self, metrics: ServerMetrics, project: str, version: str
    ) -> "UnseenCategories | None":
        """Returns what counts other categories in the server's metrics; None where no column is known."""
        if not self.columns:
            return None
        return UnseenCategories(
            self._seen, metrics.unseen_categories(project, version, self.columns)
        )


class UnseenCategories:
    """Counts the unseen categories of batches; for any thread."""

    def __init__(self, seen: list[tuple[int, frozenset[str]]], counter: UnseenCounter) -> None:
        self._seen, self._counter = seen, counter

    def count(self, batch: Batch) -> None:
        """Counts the cells of each column whose category is not among those seen."""
        for position, (index, seen) in enumerate(self._seen):
            values = batch.text[:, index].tolist()
            if not seen.issuperset(values):
                self._counter.add(position, sum(value not in seen for value in values))


def _category_profiles(bundle: Bundle) -> dict[str, CategoryProfile]:
    if _PROFILE_FILE not in bundle.manifest.files:
        return {}
    try:
        profile = Profile.model_validate(bundle.json(_PROFILE_FILE))
    except (ValidationError, json.JSONDecodeError) as error:
        raise IntegrityError(
            f"Bundle {bundle.path}: {_PROFILE_FILE} is damaged. Restore the bundle, or train it again."
        ) from error
    return {each.name: each for each in profile.columns if isinstance(each, CategoryProfile)}
