"""Decides which bundles may be removed: those of old versions, and folders that crashes left."""

from collections.abc import Sequence

from windlass.registry.decisions import Decision, production_history
from windlass.registry.version import Stage, Version


def prunable_versions(
    versions: Sequence[Version], decisions: Sequence[Decision], keep: int
) -> list[Version]:
    """Returns the versions whose bundles may be removed.

    Kept are the `keep` newest bundles, so that somebody can look at them; the `keep` newest that may still come
    to production; the production version, and the one that a rollback without a target returns to.
    """
    history = production_history(decisions)
    needed = set(history[-2:])
    unpruned = sorted(
        (version for version in versions if version.pruned_at is None),
        key=lambda version: version.number,
        reverse=True,
    )
    promotable = [version for version in unpruned if _may_return_to_production(version)]
    needed |= {version.number for version in [*unpruned[:keep], *promotable[:keep]]}
    return [
        version
        for version in unpruned
        if version.stage is not Stage.PRODUCTION and version.number not in needed
    ]


def _may_return_to_production(version: Version) -> bool:
    """Returns whether somebody may still approve the version or roll back to it."""
    return version.stage is not Stage.REJECTED and not (
        version.stage is Stage.CANDIDATE and version.failed_gates
    )


def pruned_folders(folders: set[int], versions: Sequence[Version]) -> set[int]:
    """Returns folders of pruned versions: a crash while pruning leaves them."""
    return folders & {version.number for version in versions if version.pruned_at is not None}


def unregistered_folders(folders: set[int], versions: Sequence[Version]) -> set[int]:
    """Returns folders that no version has: a crash while registering, or an older database restored, leaves them."""
    return folders - {version.number for version in versions}
