"""The kinds of jobs that a worker carries out, and the work that each of them is."""

from collections.abc import Callable, Mapping

from windlass.jobs.job import Job
from windlass.workflows.checkpoints import Checkpoint, Made
from windlass.workflows.hands import Hands, patiently
from windlass.workflows.pipeline import pipeline
from windlass.workflows.training_job import training

KINDS: Mapping[str, Callable[[Hands, Job, Checkpoint], Made]] = {
    "train": training,
    "pipeline": pipeline,
}


def work(hands: Hands, job_id: str, checkpoint: Checkpoint) -> Made:
    """Carry out a job of any kind: what it made, or `{"error": reason}` where it cannot be done.

    Raises Cancelled, Stopped or Lost where the work is not to go on here.
    """
    job = patiently(hands, lambda: hands.desk.get(job_id))
    return KINDS[job.kind](hands, job, checkpoint)
