# ruff: noqa: T201 - a script, whose result is what it prints
"""Fuzz a whole call: the frame of a client, the server, the answer of an upstream, and the frame that goes back.

`python fuzz/fuzz_frame_to_answer.py [--seconds N]` takes its inputs from atheris if it is installed, otherwise from a
plain mutator. A finding makes the exit code nonzero. `--input FILE` tries one input again.

An input has up to three sections, separated by the byte 0x1e: the tool with the head of the upstream's answer, the
arguments (or a whole frame), and the body of the upstream's answer. `corpus/` has examples of each kind.
"""

import argparse
import importlib.util
import logging
import random
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

ENGINE = importlib.import_module("atheris") if importlib.util.find_spec("atheris") else None

# atheris instruments a module while it is imported.
with ENGINE.instrument_imports(include=["blaxel_mcp"]) if ENGINE else nullcontext():
    from harness import KEY_MARK, MANY_MARKS, FindingError, Harness

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 60
MAX_INPUT_BYTES = 8192


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """Return a seed with some of its bytes changed, repeated, removed, or taken from another seed."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        length = chance.randint(1, 1 + len(data) // 4)
        match chance.randrange(5):
            case 0:
                data[at : at + length] = chance.randbytes(chance.randint(0, 8))
            case 1:
                data[at:at] = data[at : at + length] * chance.randint(1, 20)
            case 2:
                del data[at : at + length]
            case 3:
                other = chance.choice(seeds)
                data[at:at] = other[chance.randrange(len(other) + 1) :][:length]
            case _:
                data[at:at] = chance.choice(
                    (b'"', b"{", b"}", b"[", b"\\", b"\x1e", b"\n\n", b"1e999", b"NaN", b"\xff", KEY_MARK, *MANY_MARKS)
                )
    return bytes(data[:MAX_INPUT_BYTES])


def seeds() -> list[bytes]:
    """Return the inputs of the corpus, always in the same order."""
    return [file.read_bytes() for file in sorted(CORPUS.iterdir())]


def run_plain(harness: Harness, seconds: float, seed: int) -> int:
    """Try mutated seeds for this many seconds, without measuring what code they reach."""
    chance, found, until = random.Random(seed), seeds(), time.monotonic() + seconds  # noqa: S311 - repeatable
    tried = 0
    for data in found:
        harness.check(data)
    while time.monotonic() < until:
        data = mutated(chance, found)
        try:
            harness.check(data)
        except FindingError:
            file = Path(tempfile.gettempdir()) / f"finding-{seed}-{tried}"
            file.write_bytes(data)
            print(f"The input is in {file}. To try it again: --input {file}", file=sys.stderr)
            raise
        tried += 1
    print(f"tried {tried:,} inputs of the plain mutator with seed {seed}: no finding")
    return 0


def run_atheris(engine: ModuleType, harness: Harness, seconds: int, seed: int) -> None:
    """Run libFuzzer, which exits with 0 after this many seconds, or with another code at a finding."""
    learned = tempfile.mkdtemp(prefix="fuzz-")
    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={MAX_INPUT_BYTES}",
        "-timeout=20",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    engine.Setup([sys.argv[0], learned, str(CORPUS), *options, f"-artifact_prefix={learned}/"], harness.check)
    engine.Fuzz()


def main() -> int:
    """Fuzz, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"how long to fuzz (default: {SECONDS})")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random changes (default: 1)")
    parser.add_argument("--plain", action="store_true", help="use the plain mutator even if atheris is installed")
    parser.add_argument("--input", type=Path, help="try this input only")
    options = parser.parse_args()
    logging.getLogger("blaxel_mcp").propagate = False
    harness = Harness()
    if options.input:
        harness.check(options.input.read_bytes())
    elif ENGINE and not options.plain:
        run_atheris(ENGINE, harness, options.seconds, options.seed)
    else:
        run_plain(harness, options.seconds, options.seed)
    harness.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
