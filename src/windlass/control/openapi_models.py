"""Response models of the control routes."""

from typing import Annotated, Any

from pydantic import Field

from windlass.jobs.job import JobState
from windlass.registry.version import Action, Stage
from windlass.web.openapi_models import ApiModel, Count, Seconds


class Gate(ApiModel):
    """A rule, and how the version did when it was registered."""

    rule: str
    value: float | None
    passed: bool
    note: str
    undecided: bool = Field(
        description="It could not be evaluated: nothing is automatic, but a person may approve."
    )


class Finding(ApiModel):
    """A finding of the checks of the training data."""

    check: str
    column: str | None
    message: str
    accepted: bool = Field(description="Whether the project accepts it by name.")


class Version(ApiModel):
    """A version of a project, as the registry has it."""

    project: str
    version: str
    stage: Stage
    digest: str = Field(description="Digest of its bundle; decisions refer to it.")
    created_at: Seconds
    trained_by: str
    job_id: str | None
    pruned_at: float | None = Field(description="Time when its bundle was removed.")
    params: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    findings: list[Finding] = Field(default_factory=list)
    gates: list[Gate]
    engine: dict[str, Any] = Field(
        default_factory=dict,
        description="Engine that serves it, and its comparison with the fitted pipeline.",
    )
    data_digest: str = Field("", description="Digest of its training data.")
    source_digest: str | None = Field(None, description="Digest of its project.py.")


class Versions(ApiModel):
    """Versions, the newest first."""

    versions: list[Version]


class Difference(ApiModel):
    """A metric of both versions, and the confidence interval of a - b."""

    metric: str
    a: float
    b: float
    low: float
    high: float
    difference: float
    less_is_better: bool
    enough_rows: bool = Field(description="Whether there are rows enough to say which is better.")
    verdict: str = Field(
        description="`a is better`, `b is better`, `no difference shown`, or `cannot tell`."
    )


class McNemar(ApiModel):
    """Rows on which only one of them was right; the exact two-sided test."""

    only_a: Count
    only_b: Count
    p_value: float


class Comparison(ApiModel):
    """Differences of metrics on rows that neither was trained on, with intervals."""

    versions: list[str] = Field(description="The two versions, in the order a, b.")
    rows: Count = Field(description="Number of rows that both held out.")
    confidence: float
    metrics: list[Difference]
    mcnemar: McNemar | None
    relabelled: Count = Field(description="Number of rows whose label differs between them.")
    obstacle: str | None = Field(description="Why they cannot be compared.")


class Decision(ApiModel):
    """A decision about a version, bound to the decision before."""

    project: str
    sequence: Count
    action: Action
    version: str
    digest: str
    actor: str = Field(description="The name of the key that decided.")
    reason: str
    decided_at: Seconds
    previous: str = Field(description="Hash of the decision before.")
    hash: str


class Decisions(ApiModel):
    """Decisions, the oldest first."""

    decisions: list[Decision]
    verified: bool = Field(description="Whether the chain is whole and unchanged.")
    faults: list[str]


class Decided(ApiModel):
    """The version that was moved, its new stage, and the decision."""

    version: str
    stage: Stage
    decision: Decision


class Job(ApiModel):
    """A job of the queue."""

    job_id: str
    project: str
    kind: str
    state: JobState
    cancelling: bool = Field(description="Its worker was asked to cancel it.")
    progress: Annotated[float, Field(ge=0, le=1)]
    message: str
    error: str | None = Field(description="Why it failed.")
    result: dict[str, Any] | None = Field(description="What it produced.")
    request: dict[str, Any]
    requested_by: str = Field(alias="asked_by")
    worker: str | None
    attempts: Count
    created_at: Seconds
    started_at: Seconds | None
    finished_at: Seconds | None


class Jobs(ApiModel):
    """Jobs, the newest first."""

    jobs: list[Job]


class Trained(ApiModel):
    """The version that a training has registered."""

    message: str
    new_model_version: str
    stage: Stage
    job_id: str
    digest: str = ""
    metrics: dict[str, Any] = Field(default_factory=dict)
    findings: list[Finding] = Field(default_factory=list)
    gates: list[Gate] = Field(default_factory=list)


class Accepted(ApiModel):
    """A training that has not ended yet."""

    message: str = Field(description="What the job waits for.")
    job_id: str
    state: JobState
    location: str = Field(description="URL of the job, with its progress.")


MODELS = (Versions, Comparison, Decisions, Decided, Jobs, Trained, Accepted)
