"""Response and request models of the inference routes that are the same for every project."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from windlass.core.entity_ids import MAX_INTEGER, MAX_TEXT_LENGTH, MIN_INTEGER
from windlass.web.openapi_models import ApiModel, Count, Seconds

IntegerId = Annotated[
    int, Field(ge=MIN_INTEGER, le=MAX_INTEGER, json_schema_extra={"format": "int64"})
]
TextId = Annotated[
    str, Field(min_length=1, max_length=MAX_TEXT_LENGTH, pattern=r"^[^\x00-\x1f\x7f]+$")
]
FeatureValue = float | str | bool | None


class Health(ApiModel):
    """Whether the process or every project is ready."""

    status: str


class RefusedVersion(ApiModel):
    """A version that was approved and cannot be served; the version before stays live."""

    version: str
    reason: str
    since: Seconds


class RegistryStatus(ApiModel):
    """Whether the registry can be reached, and since when that is so."""

    reachable: bool
    since: Seconds
    reason: str | None


class MaterialisedFeatures(ApiModel):
    """The feature snapshot that was materialised last."""

    snapshot: int
    view_version: str
    materialised_at: Seconds
    newest_event: date | None
    entities: Count
    stale: bool


class FeatureStatus(ApiModel):
    """The feature view, and what was materialised of it last."""

    view: str
    view_version: str
    trained_view_version: str | None = Field(
        description="Version of the view that the live version was trained on, where its bundle says so."
    )
    reason: str | None = Field(description="Why features cannot be read.")
    materialised: MaterialisedFeatures | None


class Status(ApiModel):
    """Status of one project.

    A server of several projects has a list of them in `projects`.
    """

    uptime_seconds: Annotated[float, Field(ge=0)]
    project: str = ""
    ready: bool = False
    reason: str | None = Field(None, description="Why it is not ready.")
    live_version: str | None = None
    live_since: Seconds | None = None
    stage: Literal["production", "archived"] | None = None
    engine: Literal["onnx", "native"] | None = None
    bundle_digest: str | None = None
    refused: RefusedVersion | None = None
    registry: RegistryStatus | None = Field(
        None, description="Null where a bundle is served by itself."
    )
    features: FeatureStatus | None = Field(None, description="Null without a feature view.")
    requests: Count = 0
    errors: Count = Field(0, description="Answers 4xx and 5xx.")
    latency_seconds: dict[str, float | None] = Field(default_factory=dict)
    predictions: Count = Field(0, description="Rows predicted.")
    class_mix: dict[str, Count] = Field(default_factory=dict)
    unseen_categories: dict[str, Count | None] = Field(
        default_factory=dict,
        description="By text column: cells that the live version predicted and whose category no training row had."
        " Null where the bundle does not name all categories.",
    )
    ledger: bool = False
    drift: dict[str, Any] | None = None
    projects: list["Status"] = Field(default_factory=list)


class PredictionFields(ApiModel):
    """Fields of every answer with predictions."""

    model_version: str = Field(description="The version that answered.")
    latency_ms: float = Field(ge=0, description="Milliseconds from the request to the prediction.")
    prediction_id: str = Field(description="Names the prediction in the ledger and in outcomes.")


class FeatureFields(ApiModel):
    """Fields of every answer with features."""

    as_of: date | datetime = Field(
        description="The day of the entity's latest event, or its time where events have a time of day."
    )
    stale: bool = Field(description="Whether they are older than the view allows.")
    view_version: str = Field(description="The version of the view that computed them.")


class InstancePredictions(ApiModel):
    """Predictions in the order of the rows."""

    predictions: list[Any] = Field(description="One for each row, in order.")


class OnlineFeaturesMetadata(ApiModel):
    """Names of the results: the entity column, then the features."""

    feature_names: list[str]


class OnlineFeaturesColumn(ApiModel):
    """Values of one name, with a status and an event time for each entity."""

    values: list[FeatureValue]
    statuses: list[Literal["PRESENT", "NULL_VALUE", "NOT_FOUND"]]
    event_timestamps: list[datetime]


class OnlineFeatures(ApiModel):
    """A result for each name in the metadata, each with a value for each entity."""

    metadata: OnlineFeaturesMetadata
    results: list[OnlineFeaturesColumn]


class V2Error(ApiModel):
    """An error of the Open Inference Protocol."""

    error: str


class V2Output(ApiModel):
    """An output tensor; `data` is left out where it follows in binary."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)


class V2Response(ApiModel):
    """Output tensors of the Open Inference Protocol."""

    model_name: str
    model_version: str
    id: str
    outputs: list[V2Output]


class V2Input(ApiModel):
    """An input tensor; `data` is left out where it follows in binary."""

    name: str
    shape: Annotated[list[Count], Field(min_length=1)]
    datatype: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: list[Any] = Field(default_factory=list)


class V2RequestedOutput(ApiModel):
    """An output to return."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class V2Request(ApiModel):
    """Input tensors of the Open Inference Protocol: one for each column, or a matrix of all numeric columns."""

    id: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: Annotated[list[V2Input], Field(min_length=1)]
    outputs: list[V2RequestedOutput] = Field(default_factory=list)


class V2ModelState(ApiModel):
    """A version of a model, and whether it is ready."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class V2Index(RootModel[list[V2ModelState]]):
    """Every version that may be named."""


MODELS = (
    V2Index,
    Health,
    Status,
    InstancePredictions,
    OnlineFeatures,
    V2Error,
    V2Response,
    V2Request,
)
