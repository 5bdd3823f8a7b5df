"""What followers ask for: which version of each project is in production, by one cheap query."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, func, select

from windlass.registry import rows
from windlass.registry.version import Action, Live, Stage
from windlass.storage import schema

_V = schema.versions.c
_D = schema.decisions.c


def live(connection: Connection, projects: Sequence[str]) -> dict[str, Live]:
    """The production version of each of these projects that has one, held against the newest decision."""
    newest = (
        select(_D.project, func.max(_D.sequence).label("sequence"))
        .where(_D.project.in_(projects), _D.action != Action.REJECT.value)
        .group_by(_D.project)
        .subquery()
    )
    production = select(_V.project, _V.number, _V.digest, _V.created_at).where(
        _V.project.in_(projects), _V.stage == Stage.PRODUCTION.value
    )
    decided = select(schema.decisions).join(
        newest, and_(_D.project == newest.c.project, _D.sequence == newest.c.sequence)
    )
    decisions = {row.project: rows.decision(row) for row in connection.execute(decided)}
    found = {}
    for row in connection.execute(production):
        decision = decisions.get(row.project)
        refused = None
        if decision is None:
            refused = "no decision put it in production"
        elif not decision.is_intact:
            refused = f"decision {decision.sequence} was changed after it was made"
        elif decision.number != row.number:
            refused = f"decision {decision.sequence} put {decision.version} in production"
        elif decision.digest != row.digest:
            refused = (
                f"decision {decision.sequence} was about another bundle, {decision.digest[:12]}"
            )
        since = row.created_at if decision is None else decision.decided_at
        found[row.project] = Live(row.number, row.digest, since, refused)
    return found
