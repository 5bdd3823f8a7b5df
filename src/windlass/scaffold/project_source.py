"""Writes the `project.py` of a new project from what was inferred of its table."""

import re
import textwrap
from string import Template

from windlass.core.targets.target import Label
from windlass.scaffold.column_profile import ColumnProfile, ColumnType
from windlass.scaffold.row_fields import RowField, name_fields, quote
from windlass.scaffold.table_inference import TableProfile
from windlass.scaffold.target_inference import TargetProfile

_FEW_ROWS = 500  # below, the linear model is the default: trees need more rows
_LINE = 96
_PROJECT = Template('''\
"""$title

`windlass new` wrote this file from the table. It is yours now: what is declared here is checked in training, in every
request and in every file, so correct it where you know better.
"""

$imports

DATA = Path(__file__).parent / "data" / $file


$row


$encoder


$candidates


$data


project = Project(
    name=$name,
    description=$description,
    row=$row_class,
    target=$target,
    data=$data_function,
    candidates=[$candidate_names],  # the first is the default
$split    gates=[
$gates
    ],
    # a version without a failed gate or a finding goes into production; "manual" waits for `windlass approve`
    policy="automatic",
)
''')
_NUMBERS_ONLY = "every column is a number"
_TREES = Template('''\
class Boosting(Candidate, name="boosting"):
    """Gradient boosted trees, which take missing numbers as they are."""

    learning_rate: float = Field(0.05, gt=0, le=1, description="Weight of each tree")
    max_iter: int = Field(150, ge=1, le=2000, description="Number of trees")
    max_leaf_nodes: int = Field(8, ge=2, le=256, description="Leaves of each tree")

    def build(self, seed: int) -> Pipeline:
        """Return the unfitted pipeline."""
        trees = $estimator(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            random_state=seed,
        )
        return make_pipeline($encoder, trees)''')
_LINEAR = Template('''\
class Linear(Candidate, name="linear"):
    """$kind on imputed, scaled and encoded columns."""

    $parameter: float = Field(1.0, gt=0, description="$meaning")

    def build(self, seed: int) -> Pipeline:
        """Return the unfitted pipeline."""
        model = $estimator
        return make_pipeline($encoder, model)''')


def write_project(name: str, profile: TableProfile) -> str:
    """Return the source of `project.py`."""
    target = profile.target
    fields = name_fields(profile.inputs)
    words = name.replace("-", " ").replace("_", " ")
    order = ("Linear", "Boosting") if target.rows < _FEW_ROWS else ("Boosting", "Linear")
    classes = {"Boosting": _trees(profile), "Linear": _linear(profile)}
    return _PROJECT.substitute(
        title=_sentence(f"{words.capitalize()}: predicts {target.name} from the columns of a row."),
        imports=_imports(profile),
        file=quote(profile.source.file_name),
        row=_row(name, profile, fields),
        encoder=_encoders(profile),
        candidates="\n\n\n".join(classes[each] for each in order),
        data=_data(profile, row_class(name)),
        name=quote(name),
        description=quote(f"Predicts {target.name}."),
        row_class=row_class(name),
        target=_target(target),
        data_function="rows",
        candidate_names=", ".join(order),
        gates=_gates(target),
        split=_split(profile.group),
    )


def row_class(name: str) -> str:
    """Return the name of the class of a project's row."""
    words = re.split(r"[-_]+", name)
    return "".join(word.capitalize() for word in words if word) + "Row"


def _imports(profile: TableProfile) -> str:
    used = {column.type for column in profile.inputs}
    standard = ["from pathlib import Path"]
    if ColumnType.CATEGORY in used:
        standard.append("from typing import Literal")
    if used & {ColumnType.DATE, ColumnType.TIMESTAMP}:
        standard.insert(0, "import datetime as dt\n")
    kind = "Classifier" if profile.target.is_classification else "Regressor"
    linear = "LogisticRegression" if profile.target.is_classification else "Ridge"
    texts, numbers = has_texts(profile), has_numbers(profile)
    packages = ["import pyarrow as pa"] if profile.target.drops_rows else []
    packages += ["import pyarrow.compute as pc"] if profile.target.drops_rows else []
    packages.append("from pydantic import Field")
    if texts:
        selector = ", make_column_selector" if numbers else ""
        packages.append(
            f"from sklearn.compose import ColumnTransformer{selector}" if numbers else ""
        )
    packages += [
        f"from sklearn.ensemble import HistGradientBoosting{kind}",
        "from sklearn.impute import SimpleImputer" if numbers else "",
        f"from sklearn.linear_model import {linear}",
        "from sklearn.pipeline import Pipeline, make_pipeline",
        "from sklearn.preprocessing import "
        + ", ".join(["OneHotEncoder"] * texts + ["StandardScaler"] * numbers),
    ]
    names = ["Candidate", "Classes" if profile.target.is_classification else "Quantity", "Gate"]
    names += ["GroupSplit"] * (profile.group is not None)
    names += ["NotWorse"] * profile.target.compares + ["Project", "Row", "column"]
    names += ["CsvFormat"] * bool(_csv(profile)) + ["read_table"] * profile.target.drops_rows
    ours = f"from windlass import {', '.join(sorted(names, key=_import_order))}"
    blocks = ["\n".join(standard), "\n".join(filter(None, packages)), _fold_import(ours)]
    return "\n\n".join(blocks)


def _import_order(name: str) -> tuple[bool, str]:
    return name[0].islower(), name


def _fold_import(line: str) -> str:
    if len(line) <= _LINE:
        return line
    head, names = line.split(" import ")
    return f"{head} import (\n" + "".join(f"    {name},\n" for name in names.split(", ")) + ")"


def has_texts(profile: TableProfile) -> bool:
    """Return whether a column of the row is text to the model."""
    return any(column.type in (ColumnType.TEXT, ColumnType.CATEGORY) for column in profile.inputs)


def has_numbers(profile: TableProfile) -> bool:
    """Return whether a column of the row is a number to the model, as dates and booleans are."""
    return any(
        column.type not in (ColumnType.TEXT, ColumnType.CATEGORY) for column in profile.inputs
    )


def _csv(profile: TableProfile) -> str:
    """The arguments of CsvFormat; empty for plain CSV and for other files."""
    csv = profile.csv
    values = {
        "delimiter": (csv.delimiter, ","),
        "decimal": (csv.decimal, "."),
        "thousands": (csv.thousands, None),
        "encoding": (csv.encoding, "utf-8"),
    }
    given = {key: value for key, (value, default) in values.items() if value != default}
    return ", ".join(f"{key}={quote(str(value))}" for key, value in given.items())


def _row(name: str, profile: TableProfile, fields: tuple[RowField, ...]) -> str:
    arguments = ["Row"]
    if profile.missing:
        texts = ", ".join(map(quote, profile.missing))
        arguments.append(f"missing=[{texts}]")
    if _csv(profile):
        arguments.append(f"csv=CsvFormat({_csv(profile)})")
    head = f"class {row_class(name)}({', '.join(arguments)}):"
    if len(head) > _LINE:
        head = (
            f"class {row_class(name)}(\n" + "".join(f"    {each},\n" for each in arguments) + "):"
        )
    doc = f'    """What is known of a row before {_sentence(profile.target.name)} is predicted."""'
    lines = [head, doc, ""]
    for field in fields:
        lines += _doubt_comments(field.column)
        lines.append(field.source())
    if profile.left_out:
        lines += ["", "    # Columns that are left out; declare one here to use it:"]
        lines += [
            _comment(f"{_display_name(column.name)}: {column.left_out}.")
            for column in profile.left_out
        ]
    return "\n".join(lines)


def _doubt_comments(column: ColumnProfile) -> list[str]:
    return [_comment(f"Check: {doubt}.") for doubt in column.doubts]


def _display_name(name: str) -> str:
    return " ".join(name.split()) or "(no name)"


def _comment(text: str) -> str:
    plain = " ".join(text.split())
    return textwrap.fill(plain, _LINE, initial_indent="    # ", subsequent_indent="    #   ")


def _sentence(text: str) -> str:
    """A text for a docstring, without what would end it."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())


def _encoders(profile: TableProfile) -> str:
    parts = []
    if has_texts(profile):
        parts.append(
            "def encode_texts() -> OneHotEncoder:\n"
            '    """Return a column of 0 and 1 for each frequent text; rare and new ones share one."""\n'
            "    return OneHotEncoder(\n"
            '        handle_unknown="infrequent_if_exist",\n'
            "        min_frequency=10,\n        max_categories=30,\n        sparse_output=False,\n"
            "    )"
        )
    if has_texts(profile) and has_numbers(profile):
        parts.append(
            "def encode(numbers: Pipeline | str) -> ColumnTransformer:\n"
            '    """Return what encodes the texts and leaves the numbers, booleans and dates to `numbers`."""\n'
            "    return ColumnTransformer(\n"
            "        [\n"
            '            ("numbers", numbers, make_column_selector(dtype_include="number")),\n'
            '            ("texts", encode_texts(), make_column_selector(dtype_exclude="number")),\n'
            "        ]\n"
            "    )"
        )
    if has_numbers(profile):
        parts.append(
            "def scale() -> Pipeline:\n"
            '    """Return what fills missing numbers with the median, and scales."""\n'
            '    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler())'
        )
    return "\n\n\n".join(parts)


def _trees(profile: TableProfile) -> str:
    kind = "Classifier" if profile.target.is_classification else "Regressor"
    encoder = {
        (True, True): 'encode("passthrough")',
        (True, False): "encode_texts()",
        (False, True): "",
    }[has_texts(profile), has_numbers(profile)]
    source = _TREES.substitute(estimator=f"HistGradientBoosting{kind}", encoder=encoder)
    return source.replace("make_pipeline(, trees)", "make_pipeline(trees)")


def _linear(profile: TableProfile) -> str:
    encoder = {
        (True, True): "encode(scale())",
        (True, False): "encode_texts()",
        (False, True): "scale()",
    }[has_texts(profile), has_numbers(profile)]
    if profile.target.is_classification:
        return _LINEAR.substitute(
            kind="Logistic regression",
            parameter="C",
            meaning="Inverse strength of the regularisation",
            estimator="LogisticRegression(C=self.C, max_iter=2000, random_state=seed)",
            encoder=encoder,
        )
    return _LINEAR.substitute(
        kind="Ridge regression",
        parameter="alpha",
        meaning="Strength of the regularisation",
        estimator="Ridge(alpha=self.alpha, random_state=seed)",
        encoder=encoder,
    )


def _data(profile: TableProfile, row: str) -> str:
    target = profile.target
    if not target.drops_rows:
        return (
            "def rows(file: Path = DATA) -> Path:\n"
            '    """Return the file of labelled rows, which Windlass reads as the row declares."""\n'
            "    return file"
        )
    (field,) = name_fields([_target_column(target)])
    table = f"table[{quote(target.name)}]"
    condition = f"pc.is_valid({table})"
    if target.rare:
        labels = ", ".join(map(_label, target.labels or ()))
        condition = f"pc.is_in({table}, pa.array([{labels}]))"
    return (
        f"class Labelled{row}({row}):\n"
        '    """A row with its target, which is missing in some rows or of a rare class."""\n\n'
        f"{field.source()}\n\n\n"
        "def rows(file: Path = DATA) -> pa.Table:\n"
        '    """Return the labelled rows that a model can learn from; the others are left out."""\n'
        f"    table = read_table(file, Labelled{row})\n"
        f"    return table.filter({condition})"
    )


def _target_column(target: TargetProfile) -> ColumnProfile:
    """The target as a column that may be missing; its values have no limits."""
    kinds: dict[type, ColumnType] = {
        bool: ColumnType.BOOLEAN,
        int: ColumnType.INTEGER,
        str: ColumnType.TEXT,
    }
    kind = ColumnType.NUMBER if target.labels is None else kinds[type(target.labels[0])]
    return ColumnProfile(target.name, kind, target.rows, missing_rows=1)


def _label(label: Label) -> str:
    return quote(label) if isinstance(label, str) else repr(label)


def _target(target: TargetProfile) -> str:
    name = quote(target.name)
    if target.labels is None:
        unit = "" if target.unit is None else f", unit={quote(target.unit)}"
        return f"Quantity({name}{unit})"
    labels = list(map(_label, target.labels))
    line = f"Classes({name}, [{', '.join(labels)}])"
    if len(line) <= _LINE - 12:
        return line
    inner = "".join(f"            {label},\n" for label in labels)
    return f"Classes(\n        {name},\n        [\n{inner}        ],\n    )"


def _split(group: str | None) -> str:
    """The argument by which all rows of a group are on one side; empty without a group."""
    if group is None:
        return ""
    return f"    split=GroupSplit({quote(group)}),  # rows of one are all in training, or all in test\n"


def _gates(target: TargetProfile) -> str:
    lines = [
        textwrap.fill(
            f"{target.baseline}", _LINE, initial_indent="        # ", subsequent_indent="        # "
        ),
        f'        Gate("{target.gate_metric}", at_least={target.gate_limit:g}),',
    ]
    if target.compares:
        lines.append(f'        NotWorse("{target.gate_metric}"),')
    return "\n".join(lines)
