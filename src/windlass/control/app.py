"""The control plane as the web process mounts it: its routes, and its section of the OpenAPI document."""

from collections.abc import Sequence

from windlass.auth.key import Role
from windlass.control.backend import ControlBackend, ControlStores, ControlTimings
from windlass.control.error_mapping import translate_errors
from windlass.control.job_events import JobEventStreams
from windlass.control.jobs import JobRoutes
from windlass.control.request_body import Json
from windlass.control.train import TrainRoutes
from windlass.control.train_request import body_schema
from windlass.control.versions import VersionRoutes
from windlass.core.project_spec import ProjectSpec
from windlass.errors import WindlassError
from windlass.settings import Settings
from windlass.web.messages import Handler
from windlass.web.openapi import OpenApiSection
from windlass.web.problems import Problem
from windlass.web.registry_client import registry_opener
from windlass.web.routing import Route

# the query parameters of the routes that read some
_QUERY = {("GET", "/jobs"): ("state", "limit"), ("DELETE", "/jobs"): ("state",)}


def control_routes(names: Sequence[str], backend: ControlBackend) -> list[Route]:
    """Returns the routes of these projects of the registry."""
    streams = JobEventStreams(backend.watcher, backend.timings)
    routes = []
    for name in names:
        table = _table(name, backend, streams)
        for prefix in (f"/{name}", "") if len(names) == 1 else (f"/{name}",):
            routes += [
                Route(
                    method,
                    f"{prefix}{path}",
                    translate_errors(handler),
                    name,
                    path,
                    role,
                    query=_QUERY.get((method, path), ()),
                )
                for method, path, handler, role in table
            ]
    return routes


def _table(
    project: str, backend: ControlBackend, streams: JobEventStreams
) -> list[tuple[str, str, Handler, Role]]:
    jobs, versions = JobRoutes(project, backend, streams), VersionRoutes(project, backend)
    return [
        ("POST", "/train", TrainRoutes(project, backend).train, Role.TRAIN),
        ("GET", "/jobs", jobs.list, Role.TRAIN),
        ("GET", "/jobs/{job}", jobs.get, Role.TRAIN),
        ("DELETE", "/jobs", jobs.cancel_all, Role.TRAIN),
        ("DELETE", "/jobs/{job}", jobs.cancel, Role.TRAIN),
        ("GET", "/jobs/{job}/events", jobs.events, Role.TRAIN),
        ("GET", "/versions", versions.list, Role.PREDICT),
        ("GET", "/versions/{version}", versions.get, Role.PREDICT),
        ("GET", "/versions/{version}/compare/{other}", versions.compare, Role.PREDICT),
        ("POST", "/versions/{version}/approve", versions.approve, Role.APPROVE),
        ("POST", "/versions/{version}/reject", versions.reject, Role.APPROVE),
        ("POST", "/rollback", versions.rollback, Role.APPROVE),
        ("GET", "/decisions", versions.decisions, Role.PREDICT),
    ]


_TIMINGS = ControlTimings()


class ControlPlane:
    """Control plane of these projects; opens nothing before the first request that needs it."""

    def __init__(self, names: Sequence[str], backend: ControlBackend) -> None:
        self._names = list(names)
        self._backend = backend
        self._declared: dict[str, ProjectSpec] = {}
        self.routes = control_routes(self._names, backend)

    @classmethod
    def from_settings(
        cls, settings: Settings, names: Sequence[str], timings: ControlTimings = _TIMINGS
    ) -> "ControlPlane":
        """Returns the control plane of these projects in the registry that the settings name."""
        return cls(names, ControlBackend(registry_opener(settings), timings))

    async def refresh(self) -> tuple[ProjectSpec, ...]:
        """Reads the declarations of the projects, for the section, and returns them, or the last ones on failure."""

        def read(stores: ControlStores) -> list[ProjectSpec]:
            return stores.registry.declarations()

        try:
            declarations = await self._backend.run(read)
        except (WindlassError, Problem):
            pass  # the log has the reason; the rest of the document can be made without
        else:
            self._declared = {spec.name: spec for spec in declarations if spec.name in self._names}
        return tuple(self._declared.values())

    @property
    def section(self) -> OpenApiSection:
        """The operations and schemas of the control routes, imported when the document is first asked for."""
        from windlass.control.openapi_operations import OPERATIONS

        return OpenApiSection(OPERATIONS, self._schemas)

    def _schemas(self) -> Json:
        from windlass.control.openapi_models import MODELS
        from windlass.web.openapi_models import component_schemas

        schemas = component_schemas(MODELS)
        for name in self._names:
            declaration = self._declared.get(name)
            base = f"#/components/schemas/{name}.Training"
            schemas[f"{name}.Training"] = (
                {"type": "object"} if declaration is None else body_schema(declaration, base)
            )
        return schemas

    def close(self) -> None:
        """Closes what was opened, after the last response."""
        self._backend.close()
