"""The command line of the benchmarks."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import upstream
from benchmarks.docs import PAGE, PICTURE, measured_parts, picture, write_page
from benchmarks.driver import ROOT, BenchmarkError
from benchmarks.installs import BARE as BARE_PACKAGES
from benchmarks.installs import FOLDER, install
from benchmarks.peers import PEERS
from benchmarks.profiles import layers_table, profile, profile_text
from benchmarks.report import machine, reasons_list, servers_table, targets_table
from benchmarks.rounds import Extent, Results, measure
from benchmarks.rows import KEYS, ROWS, chosen_rows, scenarios_of
from benchmarks.scenarios import FULL, QUICK, SCENARIOS, Bench
from benchmarks.servers import BARE, LOOP, OWN, Contender

ROUNDS = 5
MINUTES = 10
"""With the installed servers of other projects, and the profiles for the docs, it then ends within 12 minutes."""
PROFILED_IN_DOCS = ("p50", "1mb", "stream")
STDIO_KEYS = [row.key for row in ROWS if not row.scenario.startswith("http")]


def names(choices: Sequence[str], text: str) -> list[str]:
    """Return the names in a comma-separated list: `all` and `none` are understood.

    Raises:
        ArgumentTypeError: One of them is unknown.
    """
    if text in {"all", "none"}:
        return list(choices) if text == "all" else []
    chosen = text.split(",")
    if unknown := [name for name in chosen if name not in choices]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; choose from {', '.join(choices)}")
    return chosen


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one small round without peers: proves that it works, in under a minute")
    add("--http", action="store_true", help="also measure streamable HTTP")
    add("--rounds", type=int, metavar="N", help=f"number of rounds (default: {ROUNDS}, with --quick 1)")
    add(
        "--minutes",
        type=float,
        metavar="M",
        default=MINUTES,
        help=f"begin no round that would not end in this time (default: {MINUTES})",
    )
    add("--rows", metavar="ROW,...", default=[], type=lambda text: names(KEYS, text), help="only these rows")
    add(
        "--peers",
        metavar="PEER,...",
        type=lambda text: names(list(PEERS), text),
        help="peers to measure, or all or none (default: all, with --quick none)",
    )
    add(
        "--profile",
        metavar="ROW",
        choices=STDIO_KEYS,
        help="print a profile of our server in this row instead of measuring",
    )
    add("--write-docs", action="store_true", help="write the tables and the plot into docs/; implies --http")
    return parser


def available(peers: Sequence[str], results: Results) -> list[Contender]:
    """Install peers and return those that are available; the others are noted in the results."""
    contenders = []
    for name in peers:
        say(f"installing {name}")
        try:
            install(name)
        except BenchmarkError as error:
            results.skip(name, str(error))
        else:
            contenders.append(PEERS[name])
    return contenders


def install_bare() -> None:
    """Install what the bare server and the httpx loop need; otherwise they run in this environment."""
    try:
        install(BARE_PACKAGES)
    except BenchmarkError as error:
        say(f"bare and the httpx loop run in this environment, which has other packages too: {error}")


def say(line: str) -> None:
    """Print a line of progress on stderr."""
    print(line, file=sys.stderr, flush=True)


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    rows = chosen_rows(options.rows, http=options.http or options.write_docs)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    unavailable = Results()
    peers = options.peers if options.peers is not None else [] if options.quick else list(PEERS)
    install_bare()
    contenders = [OWN, BARE, LOOP, *available(peers, unavailable)]
    with upstream.running() as url:
        bench = Bench(url, QUICK if options.quick else FULL)
        warm_up = [SCENARIOS["start"](contender, bench) for contender in (OWN, BARE, LOOP)]
        say(f"{len(warm_up)} servers wrote their byte code")
        results = measure(contenders, Extent(scenarios_of(rows), rounds, options.minutes), bench, say)
        layers = layers_table({key: profile(key, url)[0] for key in PROFILED_IN_DOCS}) if options.write_docs else ""
    results.reasons.update(unavailable.reasons)
    written = [contender.name for contender in contenders]
    print(targets_table(results, rows), servers_table(results, rows, written), sep="\n\n")
    print("", reasons_list(results), f"{machine()} Rounds: {results.rounds}.", sep="\n")
    write_picture(PICTURE if options.write_docs else FOLDER / PICTURE.name, picture(results, rows, written))
    if options.write_docs:
        write_page(PAGE, measured_parts(results, rows, written, results.rounds) | {"layers": layers})
        say(f"wrote {PAGE.relative_to(ROOT)}")
    if failures := [name for name in (OWN.name, BARE.name) if name in results.reasons]:
        raise BenchmarkError(f"could not measure {' and '.join(failures)}: see above")


def write_picture(file: Path, svg: str) -> None:
    """Write the plot."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(svg, encoding="utf-8")
    say(f"wrote {file.relative_to(ROOT)}")


def main() -> None:
    """Run the command line."""
    options = build_parser().parse_args()
    try:
        if options.profile:
            with upstream.running() as url:
                print(profile_text(options.profile, url))
        else:
            run(options)
    except BenchmarkError as error:
        sys.exit(f"benchmarks: {error}")


if __name__ == "__main__":
    main()
