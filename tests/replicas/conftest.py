"""A running Redis for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replicas.engines import RedisServer, running_redis


@pytest.fixture
def redis(searched_folder: Path) -> Iterator[RedisServer]:
    folder = searched_folder / "redis"
    folder.mkdir()
    with running_redis(folder) as server:
        yield server
