"""What inference adds to the API's description: its operations, and the schemas of the live versions."""

from collections.abc import Sequence

from windlass.core.bundle import Bundle
from windlass.core.json_schema import json_schema
from windlass.serving.feature_schemas import SHARED, feature_schemas
from windlass.serving.hosted import Hosted
from windlass.serving.openapi_schemas import ANSWERS, UNKNOWN, batch_answer, one_answer, values
from windlass.serving.operations import OPERATIONS
from windlass.web.operation import Chapter, Json


def chapter(hosted: Sequence[Hosted]) -> Chapter:
    """The chapter of these projects."""

    def schemas() -> Json:
        found: Json = ANSWERS | SHARED
        for one in hosted:
            found |= {f"{one.name}.{name}": schema for name, schema in _of(one).items()}
        return found

    return Chapter(OPERATIONS, schemas)


def _of(hosted: Hosted) -> Json:
    described = _of_bundle(hosted.bundle)
    view = None if hosted.online is None else hosted.online.view
    if view is None:
        return described
    return described | feature_schemas(view, hosted.name, described["Prediction"])


def _of_bundle(bundle: Bundle | None) -> Json:
    if bundle is None:  # nothing is live yet, and what will be may have any columns
        return UNKNOWN
    row = json_schema(bundle.schema.row)
    return {
        "Row": row,
        "Values": values(row),
        "Prediction": one_answer(bundle.schema.target),
        "Predictions": batch_answer(bundle.schema.target),
    }


def about(hosted: Sequence[Hosted]) -> str:
    """A line a project: its version, what it predicts, and from which feature view."""
    return "\n".join(map(_about, hosted))


def _about(hosted: Hosted) -> str:
    view = None if hosted.online is None else hosted.online.view
    features = "" if view is None else f"; features of `{view.entity}` by the view `{view.name}`"
    if hosted.bundle is None:
        return f"- **{hosted.name}**: no version is live{features}"
    version, target = hosted.bundle.version, hosted.bundle.schema.target.name
    return f"- **{hosted.name}** {version}: predicts `{target}`{features}"
