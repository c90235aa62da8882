"""A Ray of two workers, started once for all tests that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def ray_here() -> Iterator[Any]:
    """Ray itself, initialised with two cores, a small object store and no dashboard."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(
        address="local", num_cpus=2, object_store_memory=80 * 2**20, include_dashboard=False, log_to_driver=False,
        logging_level="ERROR",
    )  # fmt: skip
    yield ray
    ray.shutdown()


@pytest.fixture
def ray_executor(ray_here: Any) -> Iterator[Any]:
    """The executor of that Ray, which stays when a test is over."""
    from mrl_sweep.execution.ray import joined

    assert ray_here.is_initialized()
    with joined() as executor:
        yield executor
