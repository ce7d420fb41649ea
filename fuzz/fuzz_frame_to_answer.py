# ruff: noqa: T201 - a script, whose result is what it prints
"""Fuzz the whole way of a call: a frame off the wire, the server, an upstream's answer, the frame that goes back.

`python fuzz/fuzz_frame_to_answer.py [--seconds N]` takes bytes from atheris where that is installed, else from a plain
mutator, and exits with something other than 0 at a finding. `--input FILE` tries one input again.

An input is up to three sections with a byte 0x1e between them: what is called and what upstream says before its body,
the arguments (or a whole frame), and the body. `corpus/` has some of each kind.
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

# What atheris looks into it has to see imported.
with ENGINE.instrument_imports(include=["blaxel_mcp"]) if ENGINE else nullcontext():
    from harness import KEY_MARK, FindingError, Harness

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 60
MOST_INPUT_BYTES = 8192


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with some of its bytes changed, moved, doubled, or taken from another seed."""
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
                    (b'"', b"{", b"}", b"[", b"\\", b"\x1e", b"\n\n", b"1e999", b"NaN", b"\xff", KEY_MARK)
                )
    return bytes(data[:MOST_INPUT_BYTES])


def seeds() -> list[bytes]:
    """The inputs of the corpus, always in the same order."""
    return [file.read_bytes() for file in sorted(CORPUS.iterdir())]


def run_plain(harness: Harness, seconds: float, seed: int) -> int:
    """Try mutated seeds for so many seconds, without anybody looking at what they reach."""
    chance, found, until = random.Random(seed), seeds(), time.monotonic() + seconds  # noqa: S311 - the same each time
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
            print(f"The input is in {file}; --input tries it again.", file=sys.stderr)
            raise
        tried += 1
    print(f"{tried:,} inputs of the plain mutator, seed {seed}: nothing found")
    return 0


def run_atheris(engine: ModuleType, harness: Harness, seconds: int, seed: int) -> None:
    """Hand over to libFuzzer, which ends the process: with 0 after so many seconds, with another code at a finding."""
    learnt = tempfile.mkdtemp(prefix="fuzz-")
    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={MOST_INPUT_BYTES}",
        "-timeout=20",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    engine.Setup([sys.argv[0], learnt, str(CORPUS), *options, f"-artifact_prefix={learnt}/"], harness.check)
    engine.Fuzz()


def main() -> int:
    """Fuzz, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"how long; {SECONDS} if left out")
    parser.add_argument("--seed", type=int, default=1, help="what the changes go by")
    parser.add_argument("--plain", action="store_true", help="use the plain mutator also where atheris is installed")
    parser.add_argument("--input", type=Path, help="try this one input")
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
