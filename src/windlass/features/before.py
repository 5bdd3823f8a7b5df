"""What was known before each event: the state of the event before it, or what is so before the first one."""

from datetime import timedelta

import polars as pl

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.features.request_time import columns


def known_before(view: FeatureView, record: ViewRecord, states: pl.DataFrame) -> pl.DataFrame:
    """The features of each of n events as they were when it happened, in the order of `states`.

    `states` stand by entity, time and key. A state older than the view's ttl counts as unknown, as it does
    when features are served. Before the first event `view.first` holds, with the columns `view.asked` of the
    event itself.
    """
    entity, time = pl.col(record.entity), pl.col(record.time)
    known = (entity == entity.shift(1)).fill_null(value=False)
    fresh = pl.lit(value=True)
    if record.ttl_days is not None:
        fresh = time - time.shift(1) <= timedelta(days=record.ttl_days)
    stored = [
        pl.when(known & fresh)
        .then(pl.col(name).shift(1))
        .when(~known)
        .then(pl.col(name) if name in view.asked else pl.lit(view.first.get(name)))
        .alias(name)
        for name in record.stored
    ]
    before = states.lazy().select(entity, *(pl.col(name) for name in view.order), *stored)
    made: pl.LazyFrame = columns(record, before, record.time)
    return made.collect()
