"""How far a materialisation has come, and what the last whole one brought."""

from datetime import date

from pydantic import BaseModel, ConfigDict


class Progress(BaseModel):
    """How many parts of a snapshot are written, in the order of their names, and the `last` of these.

    `created` tells a snapshot from another of its number.
    """

    model_config = ConfigDict(frozen=True)

    snapshot: int
    created: float  # epoch seconds
    view: str  # the version of the view that computed the snapshot
    parts: int = 0
    last: str = ""
    newest: date | None = None  # event so far


class Freshness(BaseModel):
    """What an online store was last brought up to, whole: the snapshot, and when.

    `name` and `view` are the view's name and version, `newest` is the day of the newest event, and `entities`
    counts what the store then held.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    view: str
    snapshot: int
    created: float  # when the snapshot was, epoch seconds
    materialised_at: float  # epoch seconds
    newest: date | None
    entities: int
