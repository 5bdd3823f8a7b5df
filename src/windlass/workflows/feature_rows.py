"""What training reads where the project has a feature view: what was known at each event, of one snapshot."""

from dataclasses import replace
from functools import partial

from windlass.core.project import Project
from windlass.settings import Settings
from windlass.training.dataset import Rows
from windlass.training.request import Plan


def with_features(project: Project, plan: Plan, settings: Settings) -> tuple[Plan, Rows | None]:
    """The plan, with the number of the snapshot that is read, and how to read it. Without a view neither.

    Raises FeatureError where there is no such snapshot; reading does where another view computed it.
    """
    view, record = project.view, project.features
    if view is None or record is None:
        return plan, None
    from windlass.features.offline import OfflineStore
    from windlass.features.training_rows import training_rows

    snapshot = OfflineStore.of(settings, project.name).snapshot(plan.snapshot)
    return replace(plan, snapshot=snapshot.number), partial(training_rows, view, record, snapshot)
