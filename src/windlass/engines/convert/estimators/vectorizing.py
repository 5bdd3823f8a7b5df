"""Converter of text vectorizers, for texts of a closed set: each has its row of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.estimators.encoding import lookup_rows
from windlass.engines.convert.types import UnsupportedError
from windlass.errors import counted

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Columns

_MAX_CELLS = 1_000_000  # cells of the table


def text_vectorizer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the counts or weights of the words of a text, for the declared texts; a missing one is rejected.

    For any other text the words are found by Python's regular expressions and its rules of Unicode, which no
    operator of ONNX has.
    """
    name = type(step).__name__
    column = columns[0]
    if len(columns) != 1 or column.tensor != "text":
        raise UnsupportedError(f"{name}: it takes one column of text as it is")
    texts = compiler.text_domains[column.index].categories if compiler.text_domains else None
    if texts is None:
        raise UnsupportedError(
            f"{name}: the words of any text are found by Python's rules; compiled are texts of a closed set"
        )
    encoded = step.transform(list(texts))
    if encoded.shape[0] * encoded.shape[1] > _MAX_CELLS:
        raise UnsupportedError(f"{name}: {counted(encoded.shape[1], 'column')} are too many")
    return lookup_rows(compiler, columns, texts, np.asarray(encoded.toarray(), np.float64))
