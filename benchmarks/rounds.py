"""Rounds: every scenario with every server in turn, so that a busy moment of the machine disturbs all alike."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.driver import BenchmarkError
from benchmarks.scenarios import SCENARIOS, Bench
from benchmarks.servers import Contender


@dataclass(slots=True)
class Results:
    """What was measured.

    Attributes:
        values: By row key and server, one value per round.
        reasons: By server, why it was not measured in a scenario, or at all.
    """

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    reasons: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

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


def measure(
    contenders: Sequence[Contender], scenarios: Sequence[str], rounds: int, bench: Bench, say: Callable[[str], None]
) -> Results:
    """Measure all servers in all scenarios.

    Args:
        contenders: The servers.
        scenarios: The names of the scenarios.
        rounds: How often each is repeated.
        bench: What the scenarios need.
        say: Receives a line of progress.

    Returns:
        The values. A server that fails in a scenario is left out of that scenario from then on.
    """
    results, failed = Results(), set[tuple[str, str]]()
    for number in range(rounds):
        for scenario in scenarios:
            say(f"round {number + 1} of {rounds}: {scenario}")
            # In turn from both ends: no server always runs right after the same other one.
            for contender in contenders if number % 2 == 0 else contenders[::-1]:
                if not takes_part(contender, scenario) or (contender.name, scenario) in failed:
                    continue
                try:
                    for key, value in SCENARIOS[scenario](contender, bench).items():
                        results.values[key][contender.name].append(value)
                except BenchmarkError as error:
                    failed.add((contender.name, scenario))
                    results.skip(contender.name, f"{scenario}: {error}")
    return results
