"""`make_project` writes a folder that loads as a project, and never overwrites silently."""

from pathlib import Path

import pytest
from tests.support.source_columns import write_csv

from windlass.core.evaluation_rules import GroupSplit
from windlass.core.project import Project
from windlass.core.project_loader import load_project
from windlass.core.row_schema import ColumnKind
from windlass.errors import DataError, ProjectError
from windlass.scaffold.project_folder import make_project

FILES = [
    ".gitignore",
    "README.md",
    "data/table.csv",
    "project.py",
    "pyproject.toml",
    "tests/test_project.py",
]


def awkward(folder: Path) -> Path:
    """A table whose names no Python knows."""
    header = 'Total Charges,class,"a ""b""",größe,day,paid,y'
    lines = [
        f"{row * 1.5},{'AB'[row % 5 % 2]},{row % 9},{row},2024-01-{row % 28 + 1:02d}"
        f",{'yes' if row % 3 else ''},{row % 2}"
        for row in range(80)
    ]
    return write_csv(folder, "\n".join([header, *lines, ""]))


def loaded(folder: Path) -> Project:
    return load_project(folder)[0]


def files_of(folder: Path) -> list[str]:
    return sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    )


def test_a_project_of_a_table_declares_its_columns(tmp_path: Path) -> None:
    written = make_project(tmp_path / "made", awkward(tmp_path), "y")
    project = loaded(written.folder)
    assert project.name == "made"
    assert {column.name: column.kind for column in project.schema.columns} == {
        "Total Charges": ColumnKind.NUMBER,
        "class": ColumnKind.CATEGORY,
        'a "b"': ColumnKind.INTEGER,
        "day": ColumnKind.DATE,
    }
    assert [(column.name, column.left_out) for column in written.profile.left_out] == [
        ("größe", "a number that counts the rows"),
        ("paid", "every cell that is not missing holds 'yes'"),
    ]
    assert len(project.candidates) == 2
    assert files_of(written.folder) == FILES


def test_without_a_table_there_is_an_example(tmp_path: Path) -> None:
    project = loaded(make_project(tmp_path / "made").folder)
    assert project.target.name == "cancelled"
    assert project.data().is_file()


@pytest.mark.parametrize("name", ["Churn", "my churn", "9lives", "train", "", "a" * 64, "é"])
def test_names_that_no_project_can_have_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="not usable in a URL"):
        make_project(tmp_path / "x" / name if name else Path(), awkward(tmp_path), "y")
    assert files_of(tmp_path) == ["table.csv"]


def test_a_name_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="For example: my-churn"):
        make_project(tmp_path / "My churn!", awkward(tmp_path), "y")


def test_a_folder_that_exists_is_refused(tmp_path: Path) -> None:
    file = awkward(tmp_path)
    (tmp_path / "made").mkdir()
    with pytest.raises(ProjectError, match="exists already"):
        make_project(tmp_path / "made", file, "y")
    (tmp_path / "other").write_text("a file")
    with pytest.raises(ProjectError, match="is a file"):
        make_project(tmp_path / "other", file, "y", force=True)
    with pytest.raises(ProjectError, match="no folder"):
        make_project(tmp_path / "absent" / "made", file, "y")


def test_force_keeps_what_would_change(tmp_path: Path) -> None:
    file, folder = awkward(tmp_path), tmp_path / "made"
    make_project(folder, file, "y")
    (folder / "project.py").write_text("mine")
    (folder / "notes.txt").write_text("mine")
    for number in (1, 2):
        written = make_project(folder, file, "y", force=True)
        assert [(old.name, backup.name) for old, backup in written.backups] == [
            ("project.py", f"project.py.bak{number}")
        ]
        assert (folder / f"project.py.bak{number}").read_text() == "mine"
        (folder / "project.py").write_text("mine")
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "tests/test_project.py.bak1").exists() is False


def test_nothing_is_written_where_nothing_can_be_learned(tmp_path: Path) -> None:
    file = write_csv(tmp_path, "a,y\n" + "1,x\n" * 30)
    with pytest.raises(DataError, match="the same in all rows"):
        make_project(tmp_path / "made", file, "y")
    assert files_of(tmp_path) == ["table.csv"]


def test_a_table_in_the_folder_itself_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    (folder / "data").mkdir(parents=True)
    file = awkward(folder / "data")
    content = file.read_bytes()
    written = make_project(folder, file, "y", force=True)
    assert (written.backups, file.read_bytes()) == ((), content)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.csv", "does not exist"),
        ("table.json", "not known by its ending"),
        ("", "is a folder"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path: Path, name: str, message: str) -> None:
    if name.endswith("json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(DataError, match=message):
        make_project(tmp_path / "made", tmp_path / name, "y")


def test_rows_of_one_id_are_split_together(tmp_path: Path) -> None:
    lines = [f"{row // 2 * 13},{row * 7 % 11},{'ab'[row % 5 % 2]}" for row in range(80)]
    file = write_csv(tmp_path, "\n".join(["userId,x,y", *lines, ""]))
    project = loaded(make_project(tmp_path / "written", file, "y").folder)
    assert project.split == GroupSplit("userId")
    assert project.schema.names == ("x",)
