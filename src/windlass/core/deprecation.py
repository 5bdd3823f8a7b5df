"""Old names in the public API: they work for one more version, with a DeprecationWarning."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

_Class = TypeVar("_Class", bound=type[Any])

REMOVED_IN = "0.3"


def warn_renamed(old: str, new: str, *, stacklevel: int) -> None:
    """Warns that `old` is now called `new`. `stacklevel` counts as in `warnings.warn`, from the caller's frame."""
    message = f"{old} is now called {new}. Windlass {REMOVED_IN} will not know the old name."
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel + 1)


def renamed_arguments(**names: str) -> Callable[[_Class], _Class]:
    """Class decorator that accepts old names, `old="new"`, as keyword arguments and as attributes.

    A call uses the old or the new name of an argument; it raises TypeError if it has both. Put the decorator
    above `@dataclass`, so that the old names do not become fields.
    """

    def decorate(cls: _Class) -> _Class:
        initialise = cls.__init__

        @functools.wraps(initialise)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            for old in names.keys() & kwargs.keys():
                new = names[old]
                if new in kwargs:
                    raise TypeError(
                        f"{cls.__name__} got {old!r} and {new!r}, which are the same argument."
                    )
                warn_renamed(f"{cls.__name__}({old}=…)", f"{new}=…", stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            initialise(self, *args, **kwargs)

        cls.__init__ = init
        for old, new in names.items():
            setattr(cls, old, _old_attribute(cls.__name__, old, new))
        return cls

    return decorate


def _old_attribute(owner: str, old: str, new: str) -> property:
    def read(self: Any) -> Any:
        warn_renamed(f"{owner}.{old}", new, stacklevel=2)
        return getattr(self, new)

    return property(read, doc=f"The old name of `{new}`.")
