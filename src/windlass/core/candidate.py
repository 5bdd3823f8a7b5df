"""A kind of model with its hyperparameters: what training may choose between."""

from abc import abstractmethod
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Candidate(BaseModel):
    """Base of a candidate. Its fields become CLI flags, request fields and documentation.

    `class LogReg(Candidate, name="logreg")` gives the name to ask for; `build` makes the estimator.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = ""

    def __init_subclass__(cls, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = name or cls.__name__.lower()

    @classmethod
    def __pydantic_init_subclass__(cls, name: str | None = None, **kwargs: Any) -> None:
        """Take `name` off the class keywords, which pydantic would pass to its own config."""

    @abstractmethod
    def build(self, seed: int) -> Any:
        """An unfitted scikit-learn estimator that uses `seed` for everything random."""
        raise NotImplementedError
