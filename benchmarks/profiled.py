"""Our server under the profiler: `python -m benchmarks.profiled FILE ARGUMENTS...`.

SIGUSR1 forgets everything up to now, SIGUSR2 writes the profile to the file. Only the event loop's thread is profiled.
"""

import cProfile
import signal
import sys
from types import FrameType

from blaxel_mcp.cli.main import main


def run(file: str) -> None:
    """Run the command line of our server."""
    profiler = cProfile.Profile()

    def forget(_number: int, _frame: FrameType | None) -> None:
        profiler.clear()

    def write(_number: int, _frame: FrameType | None) -> None:
        profiler.dump_stats(file)

    signal.signal(signal.SIGUSR1, forget)
    signal.signal(signal.SIGUSR2, write)
    profiler.enable()
    main()


if __name__ == "__main__":
    path = sys.argv.pop(1)
    run(path)
