"""Operations of the control routes for the OpenAPI document."""

from collections.abc import Sequence

from windlass.control.jobs import JOB_ID, MAX_LISTED
from windlass.control.prefer_header import KEY_PATTERN
from windlass.control.request_body import Json
from windlass.control.versions import DECISION_BODY, ROLLBACK_BODY, VERSION_SCHEMA
from windlass.jobs.job import JobState
from windlass.web.openapi import Operation, json_content

_AWAY = ("404", "503")
_DECIDES = ("400", "404", "409", "413", "415", "422", "503")
_JOB: Json = {"type": "string", "pattern": f"^{JOB_ID.pattern}$"}
_VERSION: Json = {"type": "string", "pattern": VERSION_SCHEMA["pattern"]}


def _reason(_: Sequence[str]) -> Json:
    return json_content(DECISION_BODY)


def _return(_: Sequence[str]) -> Json:
    return json_content(ROLLBACK_BODY)


TRAINING: dict[str, Operation] = {
    "POST /train": Operation(
        "Train a version",
        "Asks for a training with these hyperparameters, and waits for it up to a minute. One training of a"
        " project runs at a time; the others wait in the queue. 422 before anything is queued where the"
        " parameters do not fit, and with a `job_id` where the training itself failed; 409 where it was"
        " cancelled.",
        "Trained",
        errors=("400", "404", "409", "413", "415", "422", "429", "503"),
        body="{}.Training",
        headers={
            "Prefer": "`respond-async` answers at once; `wait=10` after ten seconds at the latest.",
            "Idempotency-Key": {
                "type": "string",
                "pattern": f"^(?:{KEY_PATTERN})$",
                "description": "The same key with the same body is the same job, until a day after its end; with"
                " another body, 422.",
            },
        },
        also={"202": "Accepted"},
        tells={
            "200": {"Preference-Applied": "The preferences of `Prefer` that were applied."},
            "202": {
                "Location": "The job.",
                "Preference-Applied": "The preferences of `Prefer` that were applied.",
            },
        },
    ),
    "GET /jobs": Operation(
        "Jobs",
        "The newest first.",
        "Jobs",
        errors=("422", "503"),
        query={
            "state": {
                "enum": [state.value for state in JobState],
                "description": "Only jobs in this state.",
            },
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_LISTED,
                "default": 100,
                "description": "Maximum number of jobs.",
            },
        },
    ),
    "DELETE /jobs": Operation(
        "Cancel jobs",
        "All queued and running jobs of the project, or those in one state. 202 where workers were asked to stop.",
        "Jobs",
        errors=("422", "503"),
        also={"202": "Jobs"},
        query={
            "state": {
                "enum": [state.value for state in JobState if not state.is_final],
                "description": "Only jobs in this state.",
            }
        },
    ),
    "GET /jobs/{job}": Operation(
        "A job",
        "State, progress from 0 to 1, message, error and result.",
        "Job",
        errors=_AWAY,
        path={"job": _JOB},
    ),
    "DELETE /jobs/{job}": Operation(
        "Cancel a job",
        "A queued job is cancelled at once. The worker of a running one is asked to stop it: 202.",
        "Job",
        errors=("404", "409", "503"),
        also={"202": "Job"},
        path={"job": _JOB},
    ),
    "GET /jobs/{job}/events": Operation(
        "A job's progress, as it comes",
        "Server-sent events: `progress`, `message`, and `done` with the whole job at the end. A client that"
        " reconnects with `Last-Event-ID` gets the later events; 204 where there will be none.",
        "Text",
        "text/event-stream",
        errors=_AWAY,
        headers={"Last-Event-ID": "The id of the last event that the client received."},
        also={"204": ""},
        path={"job": _JOB},
    ),
}

REGISTRY: dict[str, Operation] = {
    "GET /versions": Operation(
        "Versions", "All that the registry knows, the newest first.", "Versions", errors=_AWAY
    ),
    "GET /versions/{version}": Operation(
        "A version",
        "Stage, parameters, metrics and gates.",
        "Version",
        errors=_AWAY,
        path={"version": _VERSION},
    ),
    "GET /versions/{version}/compare/{other}": Operation(
        "Compare two versions",
        "On rows that neither was trained on, with confidence intervals; or the `obstacle` to that.",
        "Comparison",
        errors=("404", "409", "503"),
        path={"version": _VERSION, "other": _VERSION},
    ),
    "POST /versions/{version}/approve": Operation(
        "Approve a version",
        "A candidate whose gates have passed goes into production; the one before is archived.",
        "Decided",
        errors=_DECIDES,
        body=_reason,
        path={"version": _VERSION},
    ),
    "POST /versions/{version}/reject": Operation(
        "Reject a version",
        "A candidate will never go into production.",
        "Decided",
        errors=_DECIDES,
        body=_reason,
        path={"version": _VERSION},
    ),
    "POST /rollback": Operation(
        "Roll back",
        "An archived version into production again: `to`, or the one that was before.",
        "Decided",
        errors=_DECIDES,
        body=_return,
    ),
    "GET /decisions": Operation(
        "Decisions",
        "Who moved which version, when and why, the oldest first; each is bound to the one before, and"
        " `verified` says whether the chain is whole.",
        "Decisions",
        errors=_AWAY,
    ),
}

OPERATIONS = TRAINING | REGISTRY
