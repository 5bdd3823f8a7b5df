"""The workflows: valid by the published schema, pinned, with few rights, and stopped by people where they should be."""

import json
import re
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml
from tests.support.paths import ROOT
from tests.support.workflow_runner import names, steps, workflow

from windlass.serving.targets import ServiceRole

ALL = names()
PINNED = re.compile(r"[\w.-]+/[\w./-]+@(v\d+(\.\d+)*|[0-9a-f]{40})")


def schema(name: str) -> dict[str, Any]:
    """A schema of SchemaStore, as check-jsonschema carries it along."""
    file = files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{name}.json"
    schema_of_file: dict[str, Any] = json.loads(file.read_text())
    return schema_of_file


def used(name: str) -> list[dict[str, Any]]:
    """Every step of a workflow."""
    return [step for job in workflow(name)["jobs"].values() for step in job.get("steps", ())]


def test_the_workflows_are_cd_ci_and_ct() -> None:
    assert ALL == ["cd", "ci", "ct"]


@pytest.mark.parametrize("name", ALL)
def test_a_workflow_is_valid_by_the_published_schema(name: str) -> None:
    jsonschema.validate(workflow(name), schema("github-workflows"))


def test_the_schema_refuses_what_is_no_workflow() -> None:
    broken = workflow("cd")
    broken["jobs"]["image"]["step"] = broken["jobs"]["image"].pop("steps")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema("github-workflows"))


def test_what_is_deployed_is_valid_by_the_published_schema() -> None:
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    jsonschema.validate(compose, schema("compose-spec"))
    images = {service["image"] for service in compose["services"].values()}
    assert images == {"${IMAGE:?}"}, "two services, one image"
    for service in compose["services"].values():
        assert service["environment"]["WINDLASS_AUTH"] == "required"
    commands = [service["command"].split() for service in compose["services"].values()]
    assert {words[words.index("--only") + 1] for words in commands} == set(ServiceRole)


@pytest.mark.parametrize("name", ALL)
def test_every_action_is_pinned(name: str) -> None:
    actions = [step["uses"] for step in used(name) if "uses" in step]
    assert actions
    assert [action for action in actions if not PINNED.fullmatch(action)] == []


@pytest.mark.parametrize("name", ALL)
def test_a_workflow_may_only_read_unless_a_job_needs_more(name: str) -> None:
    parsed = workflow(name)
    assert parsed["permissions"] == {"contents": "read"}
    more = {
        job: set(about.get("permissions", ())) - {"contents"}
        for job, about in parsed["jobs"].items()
    }
    read = {"packages"}
    delivery = {"image": {"packages", "id-token"}, "staging": read, "production": read}
    allowed = delivery if name == "cd" else {}
    assert {job: rights for job, rights in more.items() if rights} == allowed


@pytest.mark.parametrize("name", ALL)
def test_a_workflow_has_a_timeout_and_runs_once_at_a_time(name: str) -> None:
    parsed = workflow(name)
    assert "concurrency" in parsed
    for about in parsed["jobs"].values():
        assert "uses" in about or about["timeout-minutes"] <= 240


@pytest.mark.parametrize("name", ALL)
def test_no_checkout_leaves_a_token_behind(name: str) -> None:
    checkouts = [step for step in used(name) if step.get("uses", "").startswith("actions/checkout")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", ALL)
def test_nothing_from_outside_becomes_part_of_a_command(name: str) -> None:
    for step in steps(name):
        assert "${{" not in step.command, f"{step}: hand it over by env, as text"


@pytest.mark.parametrize(("name", "job"), [("cd", "production"), ("ct", "production")])
def test_production_waits_for_its_reviewers(name: str, job: str) -> None:
    jobs = workflow(name)["jobs"]
    assert jobs[job]["environment"]["name"] == "production"
    other_environments = [about.get("environment") for other, about in jobs.items() if other != job]
    assert "production" not in str(other_environments)


def test_the_approvers_key_is_read_in_production_alone() -> None:
    for name in ALL:
        for job, about in workflow(name)["jobs"].items():
            assert "APPROVER_KEY" not in str(about) or (name, job) == ("ct", "production")


def test_training_begins_by_the_clock_by_new_data_and_by_hand() -> None:
    triggers = workflow("ct")["on"]
    assert set(triggers) == {"schedule", "repository_dispatch", "workflow_dispatch"}
    assert "data" in triggers["workflow_dispatch"]["inputs"]


def test_a_release_begins_with_ci() -> None:
    jobs = workflow("cd")["jobs"]
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert "workflow_call" in workflow("ci")["on"]
    assert (jobs["image"]["needs"], jobs["staging"]["needs"]) == ("ci", "image")
    assert "staging" in jobs["production"]["needs"]
