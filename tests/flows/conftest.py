"""What the flows share."""

from tests.support.job_workers import bench

__all__ = ["bench"]  # a fixture
