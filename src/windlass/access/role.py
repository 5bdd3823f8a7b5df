"""Roles: what the holder of a key may do. Each may do all that the ones before it may."""

from enum import Enum


class Role(Enum):
    """`predict` < `train` < `approve` < `admin`."""

    PREDICT = "predict"
    TRAIN = "train"
    APPROVE = "approve"
    ADMIN = "admin"

    def reaches(self, needed: "Role") -> bool:
        """Whether a key of this role may do what `needed` asks for."""
        return _RANK[self] >= _RANK[needed]


_RANK = {role: rank for rank, role in enumerate(Role)}
