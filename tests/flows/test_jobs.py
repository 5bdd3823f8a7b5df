"""Jobs that real worker processes run.

What the queue promises on either database is tested in tests/jobs; here most flows run on one of them.
"""

from dataclasses import replace

import pytest
from tests.support.job_workers import ON_POSTGRES, ON_SQLITE, Bench, is_alive, training_request
from tests.support.waiting import wait_until

from windlass.errors import JobError
from windlass.jobs.job import JobState
from windlass.registry.version import Stage

FAILURES = {
    "raise": "ValueError: the moon is in the wrong house (project.py, line",
    "memory": "MemoryError (project.py, line",
    "leave": "ended with code 3 and without a result",
    "kill": "was killed, as happens where memory runs out",
    "quit": "SystemExit: 0 (project.py, line",
    "unheard of": "cannot use deed = 'unheard of'",
}


def test_a_job_makes_one_version_and_says_so(bench: Bench) -> None:
    project = bench.project()
    job = bench.submit(project, "print")
    worker = bench.worker()  # every project whose folder is here
    result = bench.done(job)
    (version,) = bench.versions(project)
    assert (version.name, version.job_id, version.trained_by) == ("v1", job.id, "ada")
    assert version.stage is Stage.PRODUCTION
    assert result["version"] == "v1"
    assert result["stage"] == "production"
    assert result["digest"] == version.digest
    assert result["metrics"] == version.facts["metrics"]
    assert [gate["passed"] for gate in result["gates"]] == [True]
    assert result["params"]["deed"] == "print"
    assert bench.registry.fetch(version).digest == version.digest
    assert bench.leftovers() == []
    assert worker.stop() == 0
    printed = [line["line"] for line in worker.lines("printed in training")]
    assert printed == ["{not json", "hello from the fit"]
    assert bench.queue.workers() == []


@ON_SQLITE
def test_a_failed_training_has_its_reason_and_the_worker_goes_on(bench: Bench) -> None:
    project = bench.project()
    worker = bench.worker(project)
    for deed, reason in FAILURES.items():
        failed = bench.end(bench.submit(project, deed))
        assert failed.state is JobState.FAILED, deed
        assert failed.error is not None, deed
        assert reason in failed.error
        assert "\n" not in failed.error
        assert "Traceback" not in failed.error
    assert bench.done(bench.submit(project))["version"] == "v1"
    assert bench.leftovers() == []
    assert worker.stop() == 0
    assert len(worker.lines("job ended")) == len(FAILURES) + 1
    assert all("exception" not in line for line in worker.lines())


@ON_SQLITE
def test_code_that_changed_is_read_anew(bench: Bench) -> None:
    project = bench.project()
    bench.worker(project)
    file = project.folder / "project.py"
    whole = file.read_text()
    file.write_text("import nothing_of_this_name\n")
    failed = bench.end(bench.submit(project))
    assert failed.error is not None
    assert "No module named 'nothing_of_this_name' (project.py, line 1)" in failed.error
    file.write_text(whole.replace("range(100)", "range(60)"))
    assert bench.done(bench.submit(project))["metrics"]["test_rows"] == 12


@ON_SQLITE
def test_a_gate_on_an_unmeasured_metric_is_refused_before_anything_is_fitted(bench: Bench) -> None:
    project = bench.project()
    bench.worker(project)
    project.break_gate()
    failed = bench.end(bench.submit(project, "raise"))
    assert failed.error is not None
    assert "'acuracy', which is not measured. There are: accuracy" in failed.error
    assert failed.progress == 0


@ON_POSTGRES
def test_a_training_is_cancelled_while_it_waits_and_while_it_runs(bench: Bench) -> None:
    project = bench.project()
    bench.worker(project)
    running, queued = bench.submit(project, "wait"), bench.submit(project, "raise")
    trainer = project.trainer()
    assert bench.queue.get(queued.id).state is JobState.QUEUED, "one training at a time a project"
    assert bench.queue.cancel(queued.id).state is JobState.CANCELLED
    wait_until(lambda: "Fitting" in bench.queue.get(running.id).message, "progress in the queue")
    assert 0 < bench.queue.get(running.id).progress < 1
    bench.queue.cancel(running.id)
    assert bench.end(running).state is JobState.CANCELLED
    wait_until(lambda: not is_alive(trainer), "its end")
    assert bench.leftovers() == []
    with pytest.raises(JobError, match="has been cancelled"):
        bench.queue.cancel(running.id)
    assert bench.done(bench.submit(project))["version"] == "v1"


@ON_POSTGRES
def test_two_workers_train_two_projects_side_by_side_and_one_project_in_turn(bench: Bench) -> None:
    first, second = bench.project("one"), bench.project("two")
    bench.worker(first, second)
    bench.worker(first, second)
    jobs = [
        bench.submit(project, "wait", seed=seed)
        for project, seed in ((first, 1), (first, 2), (second, 1))
    ]
    assert is_alive(first.trainer())
    assert is_alive(second.trainer())
    states = [bench.queue.get(job.id).state for job in jobs]
    assert states == [JobState.RUNNING, JobState.QUEUED, JobState.RUNNING]
    first.go()
    second.go()
    assert [bench.done(job)["version"] for job in jobs] == ["v1", "v2", "v1"]


@ON_POSTGRES
def test_an_idempotency_key_trains_once(bench: Bench) -> None:
    project = bench.project()
    bench.worker(project)
    request = replace(training_request(project), idempotency_key="again")
    jobs = {bench.queue.submit(request).id for _ in range(3)}
    (job,) = (bench.queue.get(job_id) for job_id in jobs)
    bench.done(job)
    assert bench.queue.submit(request).id == job.id
    assert len(bench.versions(project)) == 1


@ON_SQLITE
def test_a_worker_takes_the_jobs_of_its_projects_only(bench: Bench) -> None:
    mine, other = bench.project("mine"), bench.project("other")
    bench.worker(mine)
    assert [d.name for d in bench.registry.declarations()] == ["mine"], "declared as it started"
    foreign, job = bench.submit(other), bench.submit(mine, folder=None)
    assert bench.done(job)["version"] == "v1"
    assert bench.queue.get(foreign.id).state is JobState.QUEUED
    elsewhere = bench.submit(mine, folder=str(bench.folder / "not here"), seed=2)
    assert bench.done(elsewhere)["version"] == "v2"
    wrong = bench.end(bench.submit(mine, folder=str(other.folder)))
    assert wrong.error is not None
    assert "declares project 'other', and the job is for 'mine'" in wrong.error
