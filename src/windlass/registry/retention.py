"""Which bundles may go: those of old versions, and what crashed registrations left."""

from collections.abc import Sequence

from windlass.registry.decisions import Decision, productions
from windlass.registry.version import Stage, Version


def expendable(
    versions: Sequence[Version], decisions: Sequence[Decision], keep: int
) -> list[Version]:
    """The versions whose bundles may go: not among the `keep` newest that have one, nor needed for production.

    Needed are production and every version that a rollback without a target would return to.
    """
    history = productions(decisions)
    needed = set(history[-2:])
    there = sorted(
        (version for version in versions if version.pruned_at is None),
        key=lambda version: version.number,
        reverse=True,
    )
    return [
        version
        for version in there[keep:]
        if version.stage is not Stage.PRODUCTION and version.number not in needed
    ]


def leftovers(folders: set[int], versions: Sequence[Version]) -> set[int]:
    """Folders of pruned versions, as a crash in a pruning leaves them."""
    return folders & {version.number for version in versions if version.pruned_at is not None}


def strays(folders: set[int], versions: Sequence[Version]) -> set[int]:
    """Folders that no version has, as a crash in a registration leaves them, or an older database restored."""
    return folders - {version.number for version in versions}
