"""From a sealed bundle to the row of a version."""

from typing import Any

from windlass.core.bundle import Bundle
from windlass.core.hashing import canonical_json
from windlass.errors import BundleError, RegistryError
from windlass.registry.gate_evaluation import GateEvaluation
from windlass.registry.version import Stage, Version

_LONGEST_NAME = 200
_LONGEST_JOB = 64


def checked(trained_by: str, job_id: str | None) -> None:
    """Raise RegistryError for a name or a job that no database can keep."""
    if not (trained_by.strip() and trained_by.isprintable() and len(trained_by) <= _LONGEST_NAME):
        raise RegistryError(
            f"Whoever trained a version needs a name of 1 to {_LONGEST_NAME} plain characters, not {trained_by!r}."
        )
    if job_id is not None and not (job_id.isprintable() and 0 < len(job_id) <= _LONGEST_JOB):
        raise RegistryError(
            f"A job needs an id of 1 to {_LONGEST_JOB} plain characters, not {job_id!r}."
        )


def facts(bundle: Bundle) -> dict[str, Any]:
    """What the registry tells of a bundle without opening it. Raises BundleError where that is no JSON."""
    manifest = bundle.manifest
    told = {
        "params": bundle.json("params.json") if "params.json" in manifest.files else {},
        "metrics": bundle.json("metrics.json") if "metrics.json" in manifest.files else {},
        "engine": manifest.engine.model_dump(mode="json"),
        "data_digest": manifest.data_digest,
        "source_digest": manifest.source_digest,
    }
    try:
        canonical_json(told)
    except ValueError as error:
        raise BundleError(
            f"Bundle {bundle.path} tells of itself what is no JSON: {error}. Train it again."
        ) from error
    return told


def entry(bundle: Bundle, judgement: GateEvaluation, number: int, **about: Any) -> Version:
    """The version that a bundle becomes. `about` are `created_at`, `trained_by` and `job_id`."""
    return Version(
        project=bundle.manifest.project,
        number=number,
        digest=bundle.digest,
        stage=Stage.CANDIDATE,
        facts=facts(bundle),
        gates=judgement.gates,
        against=judgement.against,
        **about,
    )
