"""Reads files of labelled rows: those that data() names, and those of `train --data` where data() takes none."""

import logging
from pathlib import Path
from typing import Any

from windlass.core.project import Project
from windlass.core.row_schema import ColumnKind, ColumnSchema
from windlass.core.targets.classes import Classes
from windlass.core.targets.outputs import Outputs
from windlass.core.targets.target import Target
from windlass.errors import DataError, InputError

_log = logging.getLogger("windlass.training")


def project_file(project: Project, path: Path) -> Path:
    """Returns the file that data() names; a relative path starts from the folder of the code of data()."""
    code = getattr(project.data, "__code__", None)
    folder = Path() if code is None else Path(code.co_filename).parent
    file = path if path.is_absolute() else folder / path
    if not file.is_file():
        raise DataError(
            f"data() of project {project.name!r} names the file {file}, which does not exist. Correct its path."
        )
    return file


def read_data_file(project: Project, file: Path) -> Any:
    """Reads a file of labelled rows by the declared row; the target is read by the same rules."""
    from windlass.tables.declared_table import read_declared_table

    columns = (*project.schema.columns, *_target_columns(project.target))
    schema = project.schema.model_copy(update={"columns": columns})
    try:
        table = read_declared_table(file, schema)
    except InputError as error:
        raise DataError(str(error)) from error
    unused = [name for name in table.other_columns if name not in project.extra_columns]
    if unused:
        _log.warning(
            "Columns of %s that %s does not have are ignored: %s.",
            file,
            project.schema.title,
            ", ".join(unused),
        )
    return table.rows


def _target_columns(target: Target) -> tuple[ColumnSchema, ...]:
    """Returns the columns of a target in a file: classes are text, integers or booleans, all else is a number."""
    if isinstance(target, Outputs):
        return tuple(column for each in target.outputs for column in _target_columns(each))
    if not target.IS_SUPERVISED:
        return ()
    if not isinstance(target, Classes):
        return tuple(ColumnSchema(name=name, kind=ColumnKind.NUMBER) for name in target.columns)
    if isinstance(target.labels[0], bool):
        return (ColumnSchema(name=target.name, kind=ColumnKind.BOOLEAN),)
    if isinstance(target.labels[0], int):
        return (ColumnSchema(name=target.name, kind=ColumnKind.INTEGER),)
    labels = tuple(map(str, target.labels))
    return (ColumnSchema(name=target.name, kind=ColumnKind.CATEGORY, categories=labels),)
