"""How checks are run and told: each after those that it needs, one cause giving one failure; and the pure rules."""

from collections.abc import Mapping

import anyio
import pytest

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.setup.doctor.checks import CheckContext, Finding, Result, failed, ok, report, skipped, summary
from blaxel_mcp.setup.doctor.network import masked, proxy_for, proxy_variables
from blaxel_mcp.setup.doctor.runner import PLAN, Check, run_checks

pytestmark = pytest.mark.anyio

CASE = CheckContext(runtime=build_runtime(Configuration(Settings())), problem=None, variables={})


async def passes(_: CheckContext) -> Result:
    return ok("fine")


async def fails(_: CheckContext) -> Result:
    return failed("broken", "fix it")


async def raises(_: CheckContext) -> Result:
    raise ConfigurationError("It is wrong.", hint="Fix it.")


async def crashes(_: CheckContext) -> Result:
    raise KeyError("something")


async def hangs(_: CheckContext) -> Result:
    await anyio.sleep_forever()
    raise AssertionError


async def run(*plan: Check) -> list[Finding]:
    with anyio.fail_after(30):
        return await run_checks(plan, CASE)


async def test_one_cause_gives_one_failure_however_many_checks_stand_on_it() -> None:
    found = await run(
        Check("a", "A", fails),
        Check("b", "B", passes, ("a",)),
        Check("c", "C", passes, ("b",)),
        Check("d", "D", passes),
    )

    because = skipped("depends on the check 'a', which failed")
    assert found == [
        Finding("a", "A", failed("broken", "fix it")),
        Finding("b", "B", because),
        Finding("c", "C", because),
        Finding("d", "D", ok("fine")),
    ]


async def test_what_was_skipped_for_no_failure_keeps_nothing_from_being_looked_at() -> None:
    async def passes_over(_: CheckContext) -> Result:
        return skipped("not needed")

    found = await run(Check("a", "A", passes_over), Check("b", "B", passes, ("a",)))

    assert [finding.outcome for finding in found] == ["skipped", "ok"]


async def test_checks_that_need_nothing_of_each_other_run_at_once() -> None:
    both, waiting = anyio.Event(), []

    async def meets(_: CheckContext) -> Result:
        waiting.append(1)
        if len(waiting) == 2:
            both.set()
        await both.wait()
        return ok("met")

    assert [finding.outcome for finding in await run(Check("a", "A", meets), Check("b", "B", meets))] == ["ok", "ok"]


async def test_an_error_is_told_with_its_hint_as_the_fix() -> None:
    (found,) = await run(Check("a", "A", raises))

    assert found.result == failed("It is wrong.", "Fix it.")


async def test_a_check_that_hangs_is_given_up() -> None:
    (found,) = await run(Check("a", "A", hangs, seconds=0.05))

    assert found.outcome == "failed"
    assert found.result.message == "The check did not finish within 0.05 s."


async def test_a_check_that_crashes_fails_alone_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    found = await run(Check("a", "A", crashes), Check("b", "B", passes))

    assert [finding.outcome for finding in found] == ["failed", "ok"]
    assert "KeyError" in caplog.text
    # `blaxel-mcp doctor` has only critical messages in its log: the others are reported as findings.
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


async def test_each_finding_is_told_as_soon_as_there_is_one() -> None:
    told: list[str] = []
    late = anyio.Event()

    async def waits(_: CheckContext) -> Result:
        await late.wait()
        return ok("late")

    def tell(finding: Finding) -> None:
        told.append(finding.id)
        late.set()

    with anyio.fail_after(30):
        found = await run_checks([Check("a", "A", waits), Check("b", "B", passes)], CASE, on_finding=tell)

    assert told == ["b", "a"]
    assert [finding.id for finding in found] == ["a", "b"]


def test_every_check_needs_only_checks_before_it_and_has_an_id_of_its_own() -> None:
    seen: set[str] = set()
    for check in PLAN:
        assert set(check.needs) <= seen
        assert check.id not in seen
        seen.add(check.id)


def test_the_summary_counts_the_worst_first_and_the_report_is_ok_without_a_failure() -> None:
    fine, bad = Finding("a", "A", ok("fine")), Finding("b", "B", failed("broken", "fix it"))

    assert summary([fine, bad, fine]) == "1 failed, 2 ok"
    assert report([fine])["ok"] is True
    assert report([fine, bad])["ok"] is False


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        pytest.param("https://run.acme.example", {}, None, id="none"),
        pytest.param("https://run.acme.example", {"HTTPS_PROXY": "p:1"}, "HTTPS_PROXY", id="of the scheme"),
        pytest.param("https://run.acme.example", {"HTTP_PROXY": "p:1"}, None, id="of another scheme"),
        pytest.param("http://run.acme.example", {"all_proxy": "p:1"}, "all_proxy", id="of all"),
        pytest.param("https://a.example", {"HTTPS_PROXY": "p:1", "https_proxy": "q:1"}, "https_proxy", id="both"),
        pytest.param("https://a.example", {"HTTPS_PROXY": "p:1", "https_proxy": ""}, None, id="taken back"),
        pytest.param("https://127.0.0.1:8", {"HTTPS_PROXY": "p:1"}, None, id="this machine"),
        pytest.param("https://a.example", {"HTTPS_PROXY": "p:1", "NO_PROXY": "b.example, *"}, None, id="star"),
        pytest.param("https://a.example", {"HTTPS_PROXY": "p:1", "NO_PROXY": "a.example"}, None, id="exempt"),
        pytest.param("https://b.a.example", {"HTTPS_PROXY": "p:1", "NO_PROXY": ".a.example"}, None, id="its domain"),
        pytest.param("https://ba.example", {"HTTPS_PROXY": "p:1", "NO_PROXY": "a.example"}, "HTTPS_PROXY", id="like"),
        pytest.param("https://a.example", {"HTTPS_PROXY": "p:1", "NO_PROXY": ".a.example"}, None, id="its own domain"),
    ],
)
def test_the_proxy_for_a_url_is_the_one_that_the_library_takes(
    url: str, environ: Mapping[str, str], proxy: str | None
) -> None:
    assert proxy_for(url, environ) == proxy


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://me:secret@p:1", "http://***@p:1"),
        ("me:secret@p:1", "***@p:1"),
        ("http://p:1", "http://p:1"),
        ("http://a:b@c@p:1/x", "http://***@p:1/x"),
        ("http://me:se/cret@p:1", "http://***@p:1"),
        ("http://me:se,cret@p:1", "http://***@p:1"),
        ("http://me:se\ncret@p:1", "http://***@p:1"),
        ("localhost,.example", "localhost,.example"),
    ],
)
def test_user_info_of_a_proxy_is_never_shown(value: str, shown: str) -> None:
    assert masked(value) == shown
    assert proxy_variables({"HTTP_PROXY": value, "OTHER": "x"}) == {"HTTP_PROXY": shown}
