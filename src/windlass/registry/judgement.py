"""When a version is judged, and against which production version: at registration, and again where that changed."""

from collections.abc import Callable
from dataclasses import dataclass

from windlass.core.bundle import Bundle
from windlass.core.gates import GateResult
from windlass.errors import BundleError, RegistryError, StorageError
from windlass.registry.judging import judge
from windlass.registry.version import Version

UNREAD = (
    ""  # judged against a production version whose bundle could not be read: to be judged again
)


@dataclass(frozen=True)
class Judgement:
    """How the gates went, and the digest of the production version that they were held against."""

    gates: tuple[GateResult, ...]
    against: str | None

    @classmethod
    def of(
        cls, candidate: Bundle, production: Version | None, fetch: Callable[[Version], Bundle]
    ) -> "Judgement":
        """Judge a bundle. Where the production version cannot be read, that is an undecided gate."""
        if production is None:
            return cls(judge(candidate, None), None)
        try:
            standing = fetch(production)
        except (BundleError, StorageError, RegistryError) as error:
            rule = f"comparable with {production.name}, which is in production"
            unread = GateResult(rule, None, passed=False, note=str(error), undecided=True)
            return cls((*judge(candidate, None), unread), production.digest)
        return cls(judge(candidate, standing), production.digest)

    @classmethod
    def standing(cls, version: Version, production: str | None) -> "Judgement | None":
        """How the gates went before, where that still holds: against this digest, and all decided."""
        if version.against != production or any(gate.undecided for gate in version.gates):
            return None
        return cls(version.gates, version.against)
