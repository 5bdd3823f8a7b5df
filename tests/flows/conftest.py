"""What the flows share."""

from tests.support.job_workers import bench
from tests.support.registry_home import registry_home

__all__ = ["bench", "registry_home"]  # fixtures
