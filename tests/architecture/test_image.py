"""The container image, as far as its recipe shows: small, not root, and nothing in it that trains.

Docker itself is not needed here. What pip installs into the image is what the package requires, and that is checked.
"""

import json
import re
import shlex
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAINS = {"alembic", "joblib", "mlflow-skinny", "onnx", "pandas", "scikit-learn"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, argument) pairs; continued lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    pairs = [line.partition(" ") for line in lines if line]
    return [(word, rest) for word, _, rest in pairs]


def final_stage() -> list[tuple[str, str]]:
    steps = instructions()
    last = max(index for index, (word, _) in enumerate(steps) if word == "FROM")
    return steps[last:]


def arguments(word: str) -> list[str]:
    return [rest for instruction, rest in final_stage() if instruction == word]


def requirement_names(*, extras: bool) -> set[str]:
    found = requires("windlass") or []
    return {
        re.split(r"[^\w.-]", line, maxsplit=1)[0].lower()
        for line in found
        if extras or "extra ==" not in line
    }


def test_the_package_alone_cannot_train() -> None:
    assert requirement_names(extras=True) >= TRAINS  # else the next line would say nothing
    assert requirement_names(extras=False).isdisjoint(TRAINS | {"mlflow", "torch"})


def test_every_requirement_is_pinned() -> None:
    lock = (ROOT / "requirements.txt").read_text().lower()
    pinned = set(re.findall(r"^([\w.-]+)==", lock, flags=re.MULTILINE))
    assert requirement_names(extras=True) <= pinned


def test_lock_names_no_host() -> None:
    for lock in (ROOT / "requirements.txt", ROOT / "requirements/dev.txt"):
        unpinned = [line for line in lock.read_text().splitlines() if "==" not in line]
        assert unpinned == []


def test_builds_in_one_stage_and_runs_in_another() -> None:
    bases = [rest for word, rest in instructions() if word == "FROM"]
    assert len(bases) == 2
    assert "-slim" in bases[-1]
    assert not any("pip" in step for step in arguments("RUN"))
    assert arguments("COPY") == [
        "--from=build /opt/windlass /opt/windlass",
        "${BUNDLE} /opt/ml/model",
    ]


def test_installs_what_the_lock_allows() -> None:
    steps = [rest for word, rest in instructions() if word == "RUN" and "pip" in rest]
    installs = [part for step in steps for part in step.split("&&") if " install " in part]
    assert installs
    assert all("--constraint requirements.txt" in part for part in installs)
    assert ("ARG", "EXTRAS=") in instructions()


def test_runs_as_nobody_special() -> None:
    (user,) = arguments("USER")
    assert int(user) >= 1000


def test_answers_where_hosts_look() -> None:
    (check,) = arguments("HEALTHCHECK")
    assert "http://127.0.0.1:8080/livez" in check
    (entry,) = arguments("ENTRYPOINT")
    assert json.loads(entry) == ["windlass"]
    (command,) = arguments("CMD")
    assert shlex.join(json.loads(command)).startswith("serve --host 0.0.0.0 --port 8080")
