"""Views of a purchase history, one for each kind of id, with times of day and windows; and orders to try them on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.core.entity_ids import EntityIds, IdType
from windlass.core.feature_view import FeatureView
from windlass.core.on_demand import CountWithin, DaysSince, HoursSince, SumWithin

if TYPE_CHECKING:
    import polars as pl

START = datetime(2026, 3, 1, tzinfo=UTC)
FEATURES = (
    "orders",
    "spent",
    "days_since_last",
    "hours_since_last",
    "orders_2d",
    "orders_6h",
    "spent_3d",
    "items_3d",
)
AT_REQUEST = {
    "days_since_last": DaysSince("last_order_at"),
    "hours_since_last": HoursSince("last_order_at"),
    "orders_2d": CountWithin(days=2),
    "orders_6h": CountWithin(hours=6),
    "spent_3d": SumWithin("amount", days=3),
    "items_3d": SumWithin("items", days=3),
}
COLUMNS: dict[str, tuple[str, ...]] = {
    "integer": ("customer",),
    "text": ("customer",),
    "uuid": ("customer",),
    "several": ("shop", "customer"),
}
TYPES: dict[str, tuple[IdType, ...]] = {
    "integer": ("integer",),
    "text": ("text",),
    "uuid": ("uuid",),
    "several": ("text", "integer"),
}
ODD_TEXTS = (
    "a/b", "a,b", "100%", "a b", "ü", "%2F", "a+b", "..", "x?y=1", "#1", "7", "日本", "o'b", '"q"', "z" * 512,
    "[1]", "a\\b", "a;b", "\u00a0", "e\u0301", "\u00e9", "null", "-1",
)  # fmt: skip


@dataclass(frozen=True)
class OrderView:
    """View of orders by one kind of id, `with_times` of day or dates only."""

    kind: str
    with_times: bool = True

    @property
    def entity(self) -> tuple[str, ...]:
        """The columns of an entity."""
        return COLUMNS[self.kind]

    @property
    def ids(self) -> EntityIds:
        """The columns and types of ids."""
        return EntityIds(self.entity, TYPES[self.kind])

    @property
    def features(self) -> tuple[str, ...]:
        """The features; without those that need hours where timestamps are dates."""
        return tuple(
            name
            for name in FEATURES
            if self.with_times or ("hours" not in name and "6h" not in name)
        )

    def contract(self) -> Any:
        """What an order has to be."""
        import pandera.polars as pa
        import polars as pl

        ids = {
            name: pa.Column(
                pl.Int64 if kind == "integer" else pl.String, metadata={"uuid": kind == "uuid"}
            )
            for name, kind in zip(self.entity, TYPES[self.kind], strict=True)
        }
        at = pl.Datetime("us", "UTC") if self.with_times else pl.Date
        return pa.DataFrameSchema(
            {
                "order": pa.Column(pl.String),
                **ids,
                "at": pa.Column(at),
                "amount": pa.Column(pl.Float64, nullable=True),
                "items": pa.Column(pl.Int64, nullable=True),
            }
        )

    def states(self, orders: Any) -> Any:
        """What is known of a customer after each order."""
        import narwhals as nw

        so_far: Any = {"order_by": ["at", "order"]}
        cents = (nw.col("amount").fill_null(0.0) * 100).round().cast(nw.Int64)
        return orders.select(
            *self.entity,
            "at",
            "order",
            last_order_at=nw.col("at"),
            orders=nw.col("order").cum_count().over(*self.entity, **so_far),
            spent=cents.cum_sum().over(*self.entity, **so_far).cast(nw.Float64),
        )

    def view(self, **changes: Any) -> FeatureView:
        """The feature view."""
        at_request = {name: AT_REQUEST[name] for name in self.features if name in AT_REQUEST}
        declared: dict[str, Any] = {
            "name": "customers",
            "entity": self.entity,
            "timestamp": "at",
            "event_id": "order",
            "contract": self.contract,
            "transform": self.states,
            "at_request": at_request,
            "defaults": {"orders": 0, "spent": 0},
            **changes,
        }
        return FeatureView(**declared)

    def orders(self, customers: int, seed: int, *, texts: tuple[str, ...] = ()) -> "pl.DataFrame":
        """Some eight orders of each customer in ten days, in no order, with ties."""
        import polars as pl

        random = np.random.default_rng(seed)
        n = customers * 8
        who = random.integers(0, customers, n)
        minutes = random.integers(0, 10 * 24 * 12, n) * 5
        same = random.random(n) < 0.2  # at the time of another order
        minutes[same] = minutes[np.flatnonzero(same) - 1]
        at: list[Any] = [START + timedelta(minutes=int(minute)) for minute in minutes]
        ids = {name: column(who, texts) for name, column in _id_columns(self.kind).items()}
        times = pl.Series("at", at, dtype=pl.Datetime("us", "UTC"))
        prices = (0.1, 0.2, 0.3, 1e15, 7.25, None)
        amounts = [prices[each] for each in random.integers(0, len(prices), n)]
        return pl.DataFrame(
            {
                "order": [f"O-{number:05}" for number in random.permutation(n)],
                **ids,
                "at": times if self.with_times else times.dt.date(),
                "amount": pl.Series(amounts, dtype=pl.Float64),
                "items": random.integers(0, 9, n),
            }
        )


def _id_columns(kind: str) -> dict[str, Callable[[Any, tuple[str, ...]], list[Any]]]:
    def number(who: Any, _texts: tuple[str, ...]) -> list[Any]:
        return [int(each) + 100 for each in who]

    def text(who: Any, texts: tuple[str, ...]) -> list[Any]:
        return [texts[each] if each < len(texts) else f"customer-{each}" for each in who]

    def uuid(who: Any, _texts: tuple[str, ...]) -> list[Any]:
        return [f"6f1c2e4a-0000-4000-8000-{int(each):012x}" for each in who]

    def shop(who: Any, texts: tuple[str, ...]) -> list[Any]:
        shops = ("north", "south/east", *texts)
        return [shops[each % len(shops)] for each in who]

    columns: dict[str, dict[str, Callable[[Any, tuple[str, ...]], list[Any]]]] = {
        "integer": {"customer": number},
        "text": {"customer": text},
        "uuid": {"customer": uuid},
        "several": {"shop": shop, "customer": number},
    }
    return columns[kind]
