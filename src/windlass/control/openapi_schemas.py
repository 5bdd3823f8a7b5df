"""Response schemas of the control routes for the OpenAPI document."""

from windlass.control.request_body import Json
from windlass.jobs.job import JobState
from windlass.registry.version import Action, Stage

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_TIME: Json = {"type": "number", "description": "Seconds since 1970."}
_OPEN: Json = {"type": "object"}
_STAGE: Json = {"enum": [stage.value for stage in Stage]}
STATES = [state.value for state in JobState]


def _maybe(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _object(properties: Json, *optional: str, description: str = "") -> Json:
    schema: Json = {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }
    return schema | ({"description": description} if description else {})


def _list(name: str, of: str, **more: Json) -> Json:
    return _object({name: {"type": "array", "items": _ref(of)}, **more})


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_METRICS: Json = {"type": "object", "additionalProperties": {}}
_GATES: Json = {"type": "array", "items": _ref("Gate")}

RESPONSE_SCHEMAS: Json = {
    "Gate": _object(
        {
            "rule": _TEXT,
            "value": _maybe(_NUMBER),
            "passed": {"type": "boolean"},
            "note": _TEXT,
            "undecided": {
                "type": "boolean",
                "description": "It could not be judged: nothing is automatic, but a person may approve.",
            },
        },
        description="A rule, and how the version did when it was registered.",
    ),
    "Version": _object(
        {
            "project": _TEXT,
            "version": _TEXT,
            "stage": _STAGE,
            "digest": {**_TEXT, "description": "Of its bundle; decisions are bound to it."},
            "created_at": _TIME,
            "trained_by": _TEXT,
            "job_id": _maybe(_TEXT),
            "pruned_at": {**_maybe(_NUMBER), "description": "When its bundle was removed."},
            "params": _OPEN,
            "metrics": _METRICS,
            "gates": _GATES,
            "engine": {
                **_OPEN,
                "description": "What serves it, and how it compared with the fitted pipeline.",
            },
            "data_digest": {**_TEXT, "description": "Of the rows it was trained on."},
            "source_digest": {**_maybe(_TEXT), "description": "Of its project.py."},
        },
        "params",
        "metrics",
        "engine",
        "data_digest",
        "source_digest",
    ),
    "Versions": _list("versions", "Version"),
    "Difference": _object(
        {
            "metric": _TEXT,
            "a": _NUMBER,
            "b": _NUMBER,
            "low": _NUMBER,
            "high": _NUMBER,
            "difference": _NUMBER,
            "less_is_better": {"type": "boolean"},
        },
        description="A metric of both, and the interval of a - b.",
    ),
    "McNemar": _object(
        {"only_a": _COUNT, "only_b": _COUNT, "p_value": _NUMBER},
        description="Rows on which only one of them was right; the exact two-sided test.",
    ),
    "Comparison": _object(
        {
            "versions": {
                "type": "array",
                "items": _TEXT,
                "description": "Which two, in order: a, b.",
            },
            "rows": {**_COUNT, "description": "That both held out."},
            "confidence": _NUMBER,
            "metrics": {"type": "array", "items": _ref("Difference")},
            "mcnemar": {"anyOf": [_ref("McNemar"), {"type": "null"}]},
            "relabelled": {**_COUNT, "description": "Rows whose truth they know differently."},
            "obstacle": {**_maybe(_TEXT), "description": "Why they cannot be compared."},
        },
        description="Differences of metrics on rows that neither was trained on, with intervals.",
    ),
    "Decision": _object(
        {
            "project": _TEXT,
            "sequence": _COUNT,
            "action": {"enum": [action.value for action in Action]},
            "version": _TEXT,
            "digest": _TEXT,
            "actor": {**_TEXT, "description": "The name of the key that decided."},
            "reason": _TEXT,
            "decided_at": _TIME,
            "previous": {**_TEXT, "description": "The hash of the decision before."},
            "hash": _TEXT,
        }
    ),
    "Decisions": _list(
        "decisions",
        "Decision",
        verified={"type": "boolean", "description": "Whether the chain is whole and unchanged."},
        faults={"type": "array", "items": _TEXT},
    ),
    "Decided": _object({"version": _TEXT, "stage": _STAGE, "decision": _ref("Decision")}),
    "Job": _object(
        {
            "job_id": _TEXT,
            "project": _TEXT,
            "kind": _TEXT,
            "state": {"enum": STATES},
            "cancelling": {"type": "boolean", "description": "Its worker was asked to give it up."},
            "progress": {"type": "number", "minimum": 0, "maximum": 1},
            "message": _TEXT,
            "error": {**_maybe(_TEXT), "description": "Why it failed."},
            "result": {**_maybe(_OPEN), "description": "What it made."},
            "request": _OPEN,
            "asked_by": _TEXT,
            "worker": _maybe(_TEXT),
            "attempts": _COUNT,
            "created_at": _TIME,
            "started_at": _maybe(_NUMBER),
            "finished_at": _maybe(_NUMBER),
        }
    ),
    "Jobs": _list("jobs", "Job"),
    "Trained": _object(
        {
            "message": _TEXT,
            "new_model_version": _TEXT,
            "stage": _STAGE,
            "job_id": _TEXT,
            "digest": _TEXT,
            "metrics": _METRICS,
            "gates": _GATES,
        },
        "digest",
        "metrics",
        "gates",
    ),
    "Accepted": _object(
        {
            "message": {**_TEXT, "description": "What it waits for."},
            "job_id": _TEXT,
            "state": {"enum": STATES},
            "location": {**_TEXT, "description": "Where to ask how far it has come."},
        }
    ),
}
