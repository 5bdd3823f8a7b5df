"""Which bundles may go: those of old versions, and what crashed registrations left."""

from collections.abc import Sequence

from windlass.registry.decisions import Decision, productions
from windlass.registry.version import Stage, Version


def expendable(
    versions: Sequence[Version], decisions: Sequence[Decision], keep: int
) -> list[Version]:
    """The versions whose bundles may go.

    Of those that have one stay the `keep` newest, so that somebody may look at them; the `keep` newest that may
    still come to production; production, and the version that a rollback without a target would return to.
    """
    history = productions(decisions)
    needed = set(history[-2:])
    there = sorted(
        (version for version in versions if version.pruned_at is None),
        key=lambda version: version.number,
        reverse=True,
    )
    kept = [*there[:keep], *[version for version in there if _has_a_future(version)][:keep]]
    needed |= {version.number for version in kept}
    return [
        version
        for version in there
        if version.stage is not Stage.PRODUCTION and version.number not in needed
    ]


def _has_a_future(version: Version) -> bool:
    """Whether somebody may still approve it or return to it."""
    return version.stage is not Stage.REJECTED and not (
        version.stage is Stage.CANDIDATE and version.failed
    )


def leftovers(folders: set[int], versions: Sequence[Version]) -> set[int]:
    """Folders of pruned versions, as a crash in a pruning leaves them."""
    return folders & {version.number for version in versions if version.pruned_at is not None}


def strays(folders: set[int], versions: Sequence[Version]) -> set[int]:
    """Folders that no version has, as a crash in a registration leaves them, or an older database restored."""
    return folders - {version.number for version in versions}
