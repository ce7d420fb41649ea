"""The last good list of models, on disk: whole or not at all, and nobody else's."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blaxel_mcp.catalog.cache import MAX_FILE_BYTES, CatalogCache, ModelSnapshot, catalog_cache
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.settings.schema import Settings

API = "https://api.blaxel.ai/v0"

RECORDS = (
    ModelRecord(
        name="house",
        display_name="Das Haus",
        runtime_type="openai",
        provider_model="gpt-4o-mini",
        generation="mk3",
        url="https://mdl-house.example.bl.run",
        status="DEPLOYED",
        enabled=False,
        sandbox=True,
        policies=("eu-only",),
        integration_path="",
    ),
    ModelRecord(name="bare"),
)

on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such owners and modes")


@pytest.fixture
def cache(tmp_path: Path) -> CatalogCache:
    return CatalogCache(tmp_path / "cache" / "catalogs", api_url=API, workspace="acme")


def test_what_was_saved_is_loaded_whole(cache: CatalogCache) -> None:
    cache.save(RECORDS, listed_at=1234.5)

    assert cache.load() == ModelSnapshot(API, "acme", 1234.5, RECORDS)


def test_the_last_list_replaces_the_one_before_and_leaves_nothing_behind(cache: CatalogCache) -> None:
    cache.save(RECORDS, listed_at=1.0)
    cache.save(RECORDS[1:], listed_at=2.0)

    assert cache.load() == ModelSnapshot(API, "acme", 2.0, RECORDS[1:])
    assert list(cache.path.parent.iterdir()) == [cache.path]


def test_nothing_saved_is_nothing_loaded(cache: CatalogCache) -> None:
    assert cache.load() is None
    assert not cache.path.parent.exists()


@on_posix
def test_the_file_and_its_folder_are_the_users_alone(cache: CatalogCache) -> None:
    cache.path.parent.mkdir(mode=0o755, parents=True)
    cache.save(RECORDS, listed_at=1.0)

    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("api_url", "workspace"), [(API, "other"), ("https://api.blaxel.dev/v0", "acme")], ids=["workspace", "platform"]
)
def test_each_workspace_of_each_platform_has_a_list_of_its_own(
    cache: CatalogCache, api_url: str, workspace: str
) -> None:
    cache.save(RECORDS, listed_at=1.0)
    other = CatalogCache(cache.path.parent, api_url=api_url, workspace=workspace)

    assert other.load() is None
    other.path.write_bytes(cache.path.read_bytes())
    other.path.chmod(0o600)
    assert other.load() is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"version": 1, "api_url": "htt', id="cut off"),
        pytest.param(b"\xff\xfe\x00", id="not text"),
        pytest.param(b"[]", id="of another kind"),
        pytest.param(b"[" * 100_000, id="deeply nested"),
        pytest.param(b" " * (MAX_FILE_BYTES + 1), id="too large"),
    ],
)
def test_a_broken_file_counts_as_none_and_is_replaced_by_the_next(cache: CatalogCache, content: bytes) -> None:
    cache.save(RECORDS, listed_at=1.0)
    cache.path.write_bytes(content)

    assert cache.load() is None
    cache.save(RECORDS, listed_at=2.0)
    assert cache.load() == ModelSnapshot(API, "acme", 2.0, RECORDS)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"version": 2}, id="a later version"),
        pytest.param({"records": [{"name": 5}]}, id="a name that is no text"),
        pytest.param({"records": [{}]}, id="a record without a name"),
        pytest.param({"records": None}, id="no records"),
        pytest.param({"listed_at": "then"}, id="no time"),
        pytest.param({"listed_at": 1e300}, id="a time that no calendar has"),
        pytest.param({"listed_at": float("nan")}, id="not even a number"),
    ],
)
def test_a_file_of_another_form_counts_as_none(cache: CatalogCache, change: dict[str, Any]) -> None:
    cache.save(RECORDS, listed_at=1.0)
    cache.path.write_text(json.dumps({**json.loads(cache.path.read_text(encoding="utf-8")), **change}))

    assert cache.load() is None


def _readable_by_others(path: Path) -> None:
    path.chmod(0o644)


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@on_posix
@pytest.mark.parametrize("turn", [_readable_by_others, _a_folder, _a_pipe])
def test_what_others_could_have_put_there_is_not_believed(cache: CatalogCache, turn: Callable[[Path], None]) -> None:
    cache.save(RECORDS, listed_at=1.0)
    turn(cache.path)

    assert cache.load() is None


def test_a_list_that_is_too_large_leaves_the_one_before(cache: CatalogCache) -> None:
    cache.save(RECORDS, listed_at=1.0)
    url = f"https://{'x' * 2000}.example"
    cache.save((ModelRecord(name=f"m{number}", url=url) for number in range(5000)), listed_at=2.0)

    assert cache.load() == ModelSnapshot(API, "acme", 1.0, RECORDS)


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left_behind(cache: CatalogCache) -> None:
    cache.save(RECORDS, listed_at=1.0)
    cache.path.unlink()
    cache.path.mkdir()

    with pytest.raises(OSError, match="directory"):
        cache.save(RECORDS, listed_at=2.0)
    assert list(cache.path.parent.iterdir()) == [cache.path]


def test_a_url_with_credentials_in_it_is_not_kept(cache: CatalogCache) -> None:
    cache.save([ModelRecord(name="m", url="https://user:canary@models.example")], listed_at=1.0)

    assert b"canary" not in cache.path.read_bytes()
    assert cache.load() == ModelSnapshot(API, "acme", 1.0, (ModelRecord(name="m"),))


def test_the_cache_lies_in_the_users_cache_folder(home: Path) -> None:
    cache = catalog_cache(Settings(workspace="acme"))

    assert cache is not None
    assert home in cache.path.parents
    assert cache.path.parent.name == "catalogs"
    assert not cache.path.parent.exists()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="no workspace"),
        pytest.param({"workspace": "demo", "api_url": "http://127.0.0.1:4711/v0"}, id="an emulator"),
        pytest.param({"workspace": "demo", "api_url": "http://[::1]:4711/v0"}, id="an emulator over IPv6"),
    ],
)
def test_where_a_list_would_be_of_no_use_there_is_no_cache(settings: dict[str, Any]) -> None:
    assert catalog_cache(Settings.model_validate(settings)) is None
