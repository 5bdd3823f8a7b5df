"""Between arrays and the data frame that a fitted pipeline reads."""

import numpy as np
import pandas as pd

from windlass.core.batch import Batch
from windlass.core.schema import MISSING_TEXT, RowSchema


def to_frame(schema: RowSchema, batch: Batch) -> pd.DataFrame:
    """Columns in declared order: float64 (NaN is missing), or object of str (NaN is missing)."""
    columns: dict[str, object] = {}
    numeric, text = 0, 0
    for column in schema.columns:
        if column.is_text:
            values = batch.text[:, text]
            columns[column.name] = pd.Series(
                np.where(values == MISSING_TEXT, np.nan, values), dtype=object
            )
            text += 1
        else:
            columns[column.name] = batch.numeric[:, numeric]
            numeric += 1
    return pd.DataFrame(columns)
