"""The container image, as far as its recipe shows: small, not root, and nothing in it that trains.

Docker itself is not needed here. What pip installs into the image is what the package requires, and that is checked.
"""

import json
import re
import shlex
import tomllib

from tests.support.paths import ROOT

TRAINS = {"dbos", "joblib", "mlflow-skinny", "onnx", "pandas", "scikit-learn"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, argument) pairs; continued lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    pairs = [line.partition(" ") for line in lines if line]
    return [(word, rest) for word, _, rest in pairs]


def stages() -> list[list[tuple[str, str]]]:
    """Each stage's instructions: the one that builds, the server, and the server with a bundle."""
    steps = instructions()
    starts = [index for index, (word, _) in enumerate(steps) if word == "FROM"]
    return [steps[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def arguments(word: str, stage: int | None = None) -> list[str]:
    """What a word is given in this stage, or in the two that run."""
    steps = (
        [step for stage_steps in stages()[1:] for step in stage_steps]
        if stage is None
        else stages()[stage]
    )
    return [rest for instruction, rest in steps if instruction == word]


def requirement_names(*, extras: bool) -> set[str]:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [package["dependencies"]]
    if extras:
        lists += package["optional-dependencies"].values()
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for each in lists for line in each}
    return names - {package["name"]}


def test_the_package_alone_cannot_train() -> None:
    assert requirement_names(extras=True) >= TRAINS  # else the next line would say nothing
    assert requirement_names(extras=False).isdisjoint(TRAINS | {"mlflow", "torch"})


def test_every_requirement_is_pinned() -> None:
    locks = (ROOT / "requirements.txt", ROOT / "requirements/dev.txt")  # Spark is in the latter
    lock = "".join(path.read_text().lower() for path in locks)
    pinned = set(re.findall(r"^([\w.-]+)==", lock, flags=re.MULTILINE))
    assert requirement_names(extras=True) <= pinned


def test_the_lock_names_no_host() -> None:
    for lock in (ROOT / "requirements.txt", ROOT / "requirements/dev.txt"):
        unpinned = [line for line in lock.read_text().splitlines() if "==" not in line]
        assert unpinned == []


def test_builds_in_one_stage_and_runs_in_others() -> None:
    assert [rest for word, rest in instructions() if word == "FROM"] == [
        "python:${PYTHON}-slim AS build",
        "python:${PYTHON}-slim AS server",
        "server",
    ]
    assert not any("pip" in step for step in arguments("RUN"))


def test_a_bundle_is_all_that_the_last_stage_adds() -> None:
    assert arguments("COPY", 1) == ["--from=build /opt/windlass /opt/windlass"]
    assert [word for word, _ in stages()[-1]] == ["FROM", "ARG", "COPY"]
    assert arguments("COPY", 2) == ["${BUNDLE} /opt/ml/model"]


def test_installs_what_the_lock_allows() -> None:
    steps = [rest for word, rest in instructions() if word == "RUN" and "pip" in rest]
    installs = [part for step in steps for part in step.split("&&") if " install " in part]
    assert installs
    assert all("--constraint requirements.txt" in part for part in installs)
    assert ("ARG", "EXTRAS=") in instructions()


def test_the_image_does_not_run_as_root() -> None:
    (user,) = arguments("USER")
    assert int(user) >= 1000


def test_the_image_answers_the_health_checks_of_hosts() -> None:
    (check,) = arguments("HEALTHCHECK")
    assert "http://127.0.0.1:8080/livez" in check
    (entry,) = arguments("ENTRYPOINT")
    assert json.loads(entry) == ["windlass"]
    (command,) = arguments("CMD")
    assert shlex.join(json.loads(command)).startswith("serve --host 0.0.0.0 --port 8080")


def test_the_image_requires_keys() -> None:
    variables = dict(part.split("=", 1) for step in arguments("ENV") for part in shlex.split(step))
    assert variables["WINDLASS_AUTH"] == "required"
    (command,) = arguments("CMD")
    assert "--insecure" not in json.loads(command)
