"""What `windlass serve` says as it starts: where it is, and lines to try."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from threading import Thread
from typing import TYPE_CHECKING

from windlass.cli.context import opened
from windlass.errors import WindlassError
from windlass.serving.targets import ServiceRole
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.core.bundle import Bundle
    from windlass.core.feature_view import ViewRecord
    from windlass.serving.targets import ServeTarget

TIMEOUT_SECONDS = 1.0  # for which a feature store may hold up the start
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what is listened on, not what is called


def banner(
    served: "Sequence[ServeTarget]",
    settings: Settings,
    host: str,
    port: int,
    only: ServiceRole | None = None,
) -> str:
    """Several lines; those to try can be pasted as they are. With `only`, of one of the two services."""
    return "\n".join(_lines(served, settings, host, port, only))


def _lines(
    served: "Sequence[ServeTarget]",
    settings: Settings,
    host: str,
    port: int,
    only: ServiceRole | None,
) -> Iterator[str]:
    base = f"http://{'127.0.0.1' if host in _EVERYWHERE else host}:{port}"
    yield f"Serving on {base} (stop with Ctrl+C). API documentation: {base}/docs"
    if settings.auth:
        yield "Keys are asked for: KEY=$(windlass keys create --name NAME --role predict)"
    for one in served:
        if one.bundle is not None:
            yield _alone(one.bundle)
    key = ' -H "X-API-Key: $KEY"' if settings.auth else ""
    yield "Try:"
    for one in served:
        url = f"{base}/{one.project}" if len(served) > 1 else base
        features, predict = (
            f"  curl {url}/features/{{}}{key}",
            f"  curl -X POST {url}/predict/{{}}{key}",
        )
        bundle = one.bundle or _in_production(one.project, settings)
        if only is ServiceRole.FEATURES:
            by_id = [features]
        elif bundle is None:
            yield f'  windlass approve {one.project} --reason "…"  # nothing of it is in production'
            by_id = [features] if only is None else []
        else:
            row = json.dumps(bundle.json("golden.json")["rows"][0])
            yield f"  curl {url}/predict{key} -H 'Content-Type: application/json' -d '{row}'"
            by_id = [features, predict] if only is None else [predict]
        if one.view is not None:
            yield from _by_id(one.project, one.view, settings, by_id)
    yield f"  curl {base}/status{key}"


def _alone(bundle: "Bundle") -> str:
    told = f"{bundle.manifest.project} is the bundle in {bundle.path} by itself: no registry decides about it."
    gates = bundle.manifest.gates
    return told if all(gate.passed for gate in gates) else f"{told} Not every gate passed."


def _by_id(
    project: str, view: "ViewRecord", settings: Settings, lines: Sequence[str]
) -> Iterator[str]:
    """These lines, about an entity that the online store knows; where it knows none, what brings some there.

    None of them where the store does not answer: the server's log will tell.
    """
    answers: list[int | None] = []
    asking = Thread(target=_ask, args=(project, view, settings, answers), daemon=True)
    asking.start()
    asking.join(TIMEOUT_SECONDS)
    if answers == [None]:
        yield f"  windlass features build {project} && windlass features materialise {project}  # no features yet"
    elif answers:
        yield from (line.format(answers[0]) for line in lines)


def _ask(project: str, view: "ViewRecord", settings: Settings, answers: list[int | None]) -> None:
    """Append an entity that the online store knows, None where it knows none; nothing where it fails."""
    from windlass.features.online.store import online_store

    with suppress(WindlassError), closing(online_store(settings, view, project)) as store:
        answers.append(store.example())


def _in_production(project: str, settings: Settings) -> "Bundle | None":
    """What is in production now; None too where that cannot be read, which the server's log will tell."""
    try:
        with opened(settings) as registry:
            version = registry.production(project)
            return None if version is None else registry.fetch(version)
    except WindlassError:
        return None
