"""Writes what stands beside `project.py` in a new project: its README, its tests and their settings."""

from string import Template

from windlass.errors import counted
from windlass.scaffold.column_profile import ColumnProfile
from windlass.scaffold.project_source import row_class
from windlass.scaffold.table_inference import TableProfile

PYTEST_SETTINGS = """\
[tool.pytest.ini_options]
pythonpath = ["."]  # the tests import project.py
testpaths = ["tests"]
"""
GITIGNORE = """\
# what training writes
.windlass/
artifacts/
__pycache__/
# tables may hold personal data; delete this line to keep them in git
data/
"""
_TESTS = Template('''\
"""Tests of this project: its table fits the row, and a version can be trained that passes the gates."""

from pathlib import Path

import pytest
from project import DATA, $row

import windlass

FOLDER = Path(__file__).parents[1]


def test_every_row_of_the_table_fits_the_row() -> None:
    assert len(windlass.read_table(DATA, $row)) > 0


def test_a_version_passes_its_gates_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path))  # a registry of its own
    version = windlass.train(FOLDER, progress=False, track=False)
    assert [gate.rule for gate in version.gates if gate.blocks_approval] == []
    model = version.load()
    assert len(model.predict([model.example])) == 1
''')
_README = Template("""\
# $name

$summary `windlass new` wrote this project from `data/$file` ($rows). The declaration is in
[project.py](project.py): correct it where you know better.

## Train and serve
    windlass train            # fits the model, measures it on rows that it has not seen, and checks the gates
    windlass serve            # answers on http://127.0.0.1:8000; /docs has the documentation of the API
    windlass predict --input rows.csv --output predictions.csv

A version whose gates pass, and whose data has no findings, goes into production at once (`policy="automatic"` in
`project.py`). Otherwise it stays a candidate, and nothing is served until a person approves it. `windlass versions`
lists all versions, and `windlass show` says why a gate failed and what was found. To decide yourself, declare
`policy="manual"`, and approve each version:

    windlass approve --reason "checked by me"

`windlass train --model $other` trains the other model, `windlass train --help` lists the hyperparameters.
`windlass train --data FILE` trains on another file of the same columns. `pytest` runs the tests; it needs
`pip install pytest` in this environment.

## The target
$target

## The columns
| column | type | values | missing | why |
|---|---|---|---|---|
$columns

$left_out$doubts""")


def write_tests(name: str) -> str:
    """Return the source of the project's tests."""
    return _TESTS.substitute(row=row_class(name))


def write_readme(name: str, profile: TableProfile) -> str:
    """Return the project's README: what was decided and why, what is uncertain, and what to do next."""
    target = profile.target
    return _README.substitute(
        name=name,
        summary=f"Predicts `{target.name}`.",
        file=profile.source.file_name,
        rows=counted(profile.source.rows, "row"),
        other="linear" if target.rows >= 500 else "boosting",
        target="\n".join(f"- {_cell(line)}" for line in target_lines(profile)),
        columns="\n".join(
            f"| {' | '.join(map(_cell, column_cells(column)))} |" for column in profile.inputs
        ),
        left_out=_section(
            "## Left out",
            [f"`{_name(column)}`: {column.left_out}" for column in profile.left_out],
        ),
        doubts=_section("## Please check", doubt_lines(profile)),
    )


def column_cells(column: ColumnProfile) -> tuple[str, ...]:
    """Return what a table says of an input: its name, type, values, share of missing cells, and the reason."""
    from windlass.scaffold.row_fields import describe_values

    missing = f"{column.missing_rows / column.rows:.1%}" if column.missing_rows else ""
    return (
        _name(column),
        column.type.value,
        describe_values(column),
        missing,
        "; ".join(column.reasons),
    )


def target_lines(profile: TableProfile) -> list[str]:
    """Return what was decided about the target, one sentence a line."""
    target = profile.target
    lines = [f"{target.name}: {'; '.join(target.reasons)}."]
    if target.labels is not None:
        shares = [
            f"{label} ({share:.0%})"
            for label, share in zip(target.labels, target.shares, strict=True)
        ]
        positive = f" The positive class is {target.labels[1]}." if len(target.labels) == 2 else ""
        lines.append(f"Classes: {', '.join(shares)}.{positive}")
    lines.append(
        f"Gate: {target.gate_metric} of at least {target.gate_limit:g} on test rows; {target.baseline}."
    )
    if target.missing_rows:
        lines.append(f"{counted(target.missing_rows, 'row')} without a target: not used.")
    lines += [
        f"Class {label!r} has only {counted(count, 'row')}: not used."
        for label, count in target.rare
    ]
    if profile.group is not None:
        lines.append(
            f"{profile.group!r} repeats, so rows of one {profile.group!r} are all in training, or all in test."
        )
    return lines


def doubt_lines(profile: TableProfile) -> list[str]:
    """Return what was uncertain, one sentence a line."""
    lines = [f"`{profile.target.name}`: {doubt}" for doubt in profile.target.doubts]
    if profile.source.dialect is not None:
        lines += profile.source.dialect.doubts
    for column in profile.inputs:
        lines += [f"`{_name(column)}`: {doubt}" for doubt in column.doubts]
    return lines


def _name(column: ColumnProfile) -> str:
    return column.name.strip() or "(no name)"


def _section(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    return "\n".join([title, *(f"- {' '.join(line.split())}" for line in lines), "", ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
