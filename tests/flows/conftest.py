"""What the flows share."""

from tests.jobs_bench import bench

__all__ = ["bench"]  # a fixture
