from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict
from tests.support.loan_view import VIEW

from windlass.core.evaluation_rules import CostMatrix, GroupTimeSplit
from windlass.core.gates import Gate, NotWorse
from windlass.core.project import Candidate, Project
from windlass.core.project_loader import ProjectSource, load_project, project_source
from windlass.core.project_spec import ProjectSpec, find_project, find_served_project
from windlass.core.row import Row
from windlass.core.targets.classes import Classes
from windlass.core.targets.quantity import Quantity
from windlass.errors import ProjectError


class Point(Row):
    x: float


class First(Candidate, name="one"):
    C: float = 1.0

    def build(self, seed: int) -> Any:
        return None


class Clash(Candidate, name="clash"):
    seed: int = 1

    def build(self, seed: int) -> Any:
        return None


class NoBuild(Candidate, name="nobuild"):
    def bild(self, seed: int) -> Any:
        return None


class NoDefault(Candidate, name="nodefault"):
    depth: int

    def build(self, seed: int) -> Any:
        return None


class Taken(Row):
    model_config = ConfigDict(protected_namespaces=())

    model_version: float


SOURCE = """
from windlass import Candidate, Classes, Project, Row
class Point(Row):
    x: float
class One(Candidate, name="one"):
    def build(self, seed): return None
project = Project(name="toy", row=Point, target=Classes("y", ["a", "b"]), data=dict, candidates=[One])
"""


def declare(**parts: Any) -> Project:
    """A project that is right but for `parts`."""
    declared: dict[str, Any] = {
        "name": "toy",
        "row": Point,
        "target": Classes("y", ["a", "b"]),
        "data": dict,
        "candidates": [First],
    }
    return Project(**declared | parts)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"name": "Two Words"}, "not usable in a URL"),
        ({"name": ""}, "not usable in a URL"),
        ({"target": Classes("x", ["a", "b"])}, "also a column of its row"),
        ({"candidates": []}, "candidates with different names"),
        ({"candidates": [First, First]}, "candidates with different names"),
        ({"candidates": [Clash]}, "has the field 'seed'"),
        ({"name": "docs"}, "a route of the server"),
        ({"target": "y"}, "target is a Classes"),
        ({"data": {"x": [1.0]}}, "data is a function"),
        ({"row": Point(x=1)}, "row is a subclass of windlass.Row"),
        ({"candidates": [dict]}, "candidates are subclasses of windlass.Candidate"),
        ({"gates": ["accuracy"]}, "gates are Gate"),
        (
            {"gates": [Gate("acuracy", at_least=0.9)]},
            r"a gate on 'acuracy', which is not measured. There are: accuracy, macro_f1,.*, train_rows\.$",
        ),
        ({"gates": [Gate("cost_per_row", at_most=1)]}, "'cost_per_row', which is not measured"),
        ({"gates": [Gate("f1_c", at_least=1)]}, "'f1_c', which is not measured"),
        (
            {
                "gates": [Gate("roc_auc", at_least=0.5)],
                "target": Classes("y", [f"c{i}" for i in range(300)]),
            },
            r"'roc_auc', which is not measured. There are: accuracy.{200,700}, …\.$",
        ),
        (
            {"gates": [Gate("accuracy", at_least=0.9)], "target": Quantity("y")},
            "There are: mae, rmse, r2, test_rows, train_rows",
        ),
        ({"gates": [NotWorse("r2")]}, "NotWorse.'r2'.*There are: accuracy, macro_f1"),
        (
            {"gates": [NotWorse("roc_auc")], "target": Classes("y", ["a", "b", "c"])},
            "cannot be compared",
        ),
        ({"gates": [NotWorse("accuracy")], "target": Quantity("y")}, "There are: mae, rmse, r2"),
        ({"policy": "automatic", "four_eyes": True}, "four_eyes needs a person"),
        ({"policy": "always"}, "policy is 'manual' or 'automatic'"),
        ({"candidates": [NoBuild]}, "has no method build"),
        ({"candidates": [NoDefault]}, "'depth' has no default"),
        ({"costs": 20}, "costs is a CostMatrix"),
        ({"split": "x"}, "split is a GroupSplit"),
        ({"view": "clients"}, "view is a FeatureView"),
        ({"view": VIEW}, "Feature 'age', .* is not a column of its row Point"),
        (
            {"costs": CostMatrix(1, 1), "target": Classes("y", ["a", "b", "c"])},
            "costs and slices need a target of two classes",
        ),
        ({"slices": ["z"], "target": Quantity("y")}, "need a target of two classes"),
        ({"slices": ["x"]}, "Slice 'x' .* is also its target or a column of its row"),
        ({"slices": ["y"]}, "Slice 'y' .* is also its target"),
        ({"row": Taken}, "'model_version' .* has the name of something that Windlass adds"),
    ],
)
def test_an_impossible_declaration_is_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        declare(**parts)


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"], ["a", 1], [True, 1]])
def test_classes_are_different_and_of_one_type(labels: Any) -> None:
    with pytest.raises(ProjectError, match="'y'"):
        Classes("y", labels)


def test_candidates_are_looked_up_by_name() -> None:
    assert declare().candidate("one") is First
    with pytest.raises(ProjectError, match=r"no model 'two'. Choose one of: one"):
        declare().candidate("two")


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    """A folder with a `project.py` of this content."""

    def make(source: str) -> Path:
        (tmp_path / "project.py").write_text(source)
        return tmp_path

    return make


def test_a_project_is_loaded_with_its_source(folder: Callable[[str], Path]) -> None:
    project, source = load_project(folder(SOURCE))
    assert project.name == "toy"
    assert source.folder == folder(SOURCE).resolve()
    assert project_source(project) == source
    changed = load_project(folder(SOURCE + "\n"))[1]
    assert changed.digest != source.digest


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "failed: ZeroDivisionError"),
        ("import no_such_module", "failed: ModuleNotFoundError"),
        ("def", "failed: SyntaxError"),
        ("", "declares 0 projects"),
        (SOURCE + 'other = Project(name="o", row=Point, target=project.target, data=dict, candidates=[One])',
         "declares 2 projects"),
        (SOURCE.replace('"toy"', '"T"'), "not usable in a URL"),
    ],
)  # fmt: skip
def test_a_broken_project_file_is_named(
    folder: Callable[[str], Path], source: str, message: str
) -> None:
    with pytest.raises(ProjectError, match=message):
        load_project(folder(source))


def test_no_project_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="Name the folder of a project"):
        load_project(tmp_path)


def test_an_error_in_a_project_file_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text("import math\n\n\nmath.sqrt(-1)\n")
    with pytest.raises(ProjectError, match=r"ValueError: .* \(project\.py, line 4\)"):
        load_project(tmp_path)


def test_a_project_file_that_exits_is_reported(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(ProjectError, match="SystemExit: 3"):
        load_project(tmp_path)


def test_gates_are_thresholds_and_comparisons() -> None:
    gates = [Gate("accuracy", at_least=0.5), NotWorse("roc_auc"), Gate("brier", at_most=0.2)]
    project = declare(gates=gates)
    assert project.thresholds == (gates[0], gates[2])
    assert project.comparisons == (gates[1],)


def test_a_data_function_says_whether_it_takes_a_file() -> None:
    def rows(count: int = 5) -> Any:
        return count

    def either(file: Path | None = None) -> Any:
        return file

    takes = [declare(data=data).takes_file for data in (dict, rows, either, lambda *, file: file)]
    assert takes == [False, False, True, True]


def test_a_declaration_says_what_a_server_must_know(tmp_path: Path) -> None:
    project = declare(gates=[NotWorse("roc_auc", margin=0.01)], policy="automatic")
    declaration = ProjectSpec.from_project(project, ProjectSource(tmp_path, "0" * 64))
    assert ProjectSpec.model_validate_json(declaration.model_dump_json()) == declaration
    assert declaration.gates == ("roc_auc not worse than production by more than 0.01",)
    assert (declaration.policy, declaration.takes_file) == ("automatic", True)
    assert declaration.models[0].hyperparameters["properties"].keys() == {"C"}


def test_extra_columns_are_for_split_and_slices() -> None:
    project = declare(split=GroupTimeSplit("person", "day"), slices=["gender", "person"])
    assert project.extra_columns == ("person", "day", "gender")
    assert declare().extra_columns == ()


def test_a_copy_is_served_as_its_artifacts_project_and_decides_nothing(
    iris: Path, tmp_path: Path
) -> None:
    declared = [ProjectSpec(name="iris", folder="/elsewhere")]
    (tmp_path / "artifacts").symlink_to(iris)
    assert find_served_project(declared, tmp_path) == "iris"
    assert find_project(declared, tmp_path) is None
    assert find_project(declared, Path("iris")) == find_served_project(declared, Path("iris"))
    assert find_served_project([], tmp_path) is None
