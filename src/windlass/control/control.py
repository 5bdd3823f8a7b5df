"""Control as `app` mounts it: routes, their chapter of the API's description, and an end."""

from collections.abc import Callable, Sequence
from functools import partial

from windlass.control.bodies import Json
from windlass.control.office import Office
from windlass.control.operations import OPERATIONS
from windlass.control.routes import control_routes
from windlass.control.schemas import ANSWERS
from windlass.control.stores import Stores
from windlass.control.training import body_schema
from windlass.core.declaration import Declaration
from windlass.errors import WindlassError
from windlass.settings import Settings
from windlass.web.operation import Chapter
from windlass.web.problems import Problem


class Control:
    """The control of these projects. Nothing is opened before the first request that needs it."""

    def __init__(self, names: Sequence[str], open_stores: Callable[[], Stores]) -> None:
        self._names = list(names)
        self._office = Office(open_stores)
        self._declared: dict[str, Declaration] = {}
        self.routes = control_routes(self._names, self._office)
        self.chapter = Chapter(OPERATIONS, self._schemas)

    @classmethod
    def of(cls, settings: Settings, names: Sequence[str]) -> "Control":
        """The control of these projects in the registry that the settings name."""
        return cls(names, partial(Stores.of, settings))

    async def learn(self) -> tuple[Declaration, ...]:
        """Read what the projects declare, for the chapter; what could not be read stays as it was known."""

        def read(stores: Stores) -> list[Declaration]:
            return stores.registry.declarations()

        try:
            found = await self._office.run(read)
        except (WindlassError, Problem):
            pass  # the log has the reason; the rest of the document can be made without
        else:
            self._declared = {one.name: one for one in found if one.name in self._names}
        return tuple(self._declared.values())

    def _schemas(self) -> Json:
        schemas = dict(ANSWERS)
        for name in self._names:
            declaration = self._declared.get(name)
            base = f"#/components/schemas/{name}.Training"
            schemas[f"{name}.Training"] = (
                {"type": "object"} if declaration is None else body_schema(declaration, base)
            )
        return schemas

    def close(self) -> None:
        """Close what was opened, after the last answer."""
        self._office.close()
