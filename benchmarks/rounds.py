"""Rounds: every scenario with every server in turn, so that a busy moment of the machine disturbs all alike."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.driver import BenchmarkError
from benchmarks.peers import PEERS
from benchmarks.scenarios import SCENARIOS, Bench
from benchmarks.servers import Contender


@dataclass(slots=True)
class Results:
    """What was measured.

    Attributes:
        values: By row key and server, one value per round.
        reasons: By server, why it was not measured in a scenario, or at all.
        rounds: How many rounds were made.
    """

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    reasons: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    rounds: int = 0

    def of(self, row: str, contender: str) -> list[float]:
        """Return the values of a server in a row, empty without any."""
        return self.values.get(row, {}).get(contender, [])

    def skip(self, contender: str, reason: str) -> None:
        """Add a reason why a server was not measured, once."""
        if reason not in self.reasons[contender]:
            self.reasons[contender].append(reason)


def takes_part(contender: Contender, scenario: str) -> bool:
    """Return whether a server can take part in a scenario."""
    return not contender.scenarios or scenario in contender.scenarios


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured.

    Attributes:
        scenarios: The names of the scenarios.
        rounds: How often each is repeated at most.
        minutes: No round begins that would probably not end in this time; the first one always does.
        peer_rounds: In how many rounds the servers of other projects take part.
    """

    scenarios: Sequence[str]
    rounds: int
    minutes: float = math.inf
    peer_rounds: int = 2


def measure(contenders: Sequence[Contender], extent: Extent, bench: Bench, say: Callable[[str], None]) -> Results:
    """Measure all servers in all scenarios.

    Args:
        contenders: The servers.
        extent: How much to measure.
        bench: What the scenarios need.
        say: Receives a line of progress.

    Returns:
        The values. A server that fails in a scenario is left out of that scenario from then on.
    """
    results, failed = Results(), set[tuple[str, str]]()
    began = time.monotonic()
    for number in range(extent.rounds):
        round_began = time.monotonic()
        present = contenders if number < extent.peer_rounds else [each for each in contenders if each.name not in PEERS]
        for scenario in extent.scenarios:
            say(f"round {number + 1} of {extent.rounds}: {scenario}")
            # In turn from both ends: no server always runs right after the same other one.
            for contender in present if number % 2 == 0 else present[::-1]:
                if not takes_part(contender, scenario) or (contender.name, scenario) in failed:
                    continue
                try:
                    for key, value in SCENARIOS[scenario](contender, bench).items():
                        results.values[key][contender.name].append(value)
                except BenchmarkError as error:
                    failed.add((contender.name, scenario))
                    results.skip(contender.name, f"{scenario}: {error}")
        results.rounds = number + 1
        if 2 * time.monotonic() - round_began - began > extent.minutes * 60:
            say(f"no other round fits into {extent.minutes:g} minutes")
            break
    return results
