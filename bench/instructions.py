"""Counts user-space instructions exactly, also where the machine cannot: Envoy runs under valgrind.

One Envoy has a listener for each variant, and one worker. What that does of itself is measured first, and taken off.
"""

import contextlib
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

# Until the module's code is optimised, and everything that is kept has been made.
WARM_UP = 1500
QUICK_WARM_UP = 500
IDLE_SECONDS = 3


def command(program: str, counts: Path) -> "list[str]":
    """What runs a program so that its instructions can be counted."""
    options = ["--tool=callgrind", "--instr-atstart=no", "--smc-check=all-non-file", "--separate-threads=yes"]
    return ["valgrind", "--quiet", *options, f"--callgrind-out-file={counts}", program]


def is_possible() -> bool:
    return all(shutil.which(program) for program in ("valgrind", "callgrind_control"))


class Counter:
    """Counts what the busiest thread of a process does: the worker."""

    def __init__(self, pid: int, counts: Path):
        self.pid, self.counts, self.dumps, self.idle = pid, counts, 0, 0.0

    def begin(self, load: "Callable[[], None]") -> None:
        """After the warm-up; tells the worker by the load, and then what it does without any."""
        self.control("--instr=on")
        worker, _ = max(self.during(load).items(), key=lambda one: one[1])
        started = time.monotonic()
        self.idle = self.during(lambda: time.sleep(IDLE_SECONDS)).get(worker, 0) / (time.monotonic() - started)

    def count(self, load: "Callable[[], None]") -> float:
        started = time.monotonic()
        total = max(self.during(load).values())
        return total - self.idle * (time.monotonic() - started)

    def during(self, load: "Callable[[], None]") -> "dict[int, int]":
        """Instructions per thread."""
        self.control("--zero")
        load()
        self.control("--dump")
        self.dumps += 1
        files = self.counts.parent.glob(f"{self.counts.name}.{self.dumps}-*")
        return {int(file.name.rpartition("-")[2]): total_in(file) for file in files}

    def control(self, what: str) -> None:
        done = subprocess.run(["callgrind_control", what, str(self.pid)], capture_output=True, text=True)
        if done.returncode != 0 or "OK." not in done.stdout:
            sys.exit(f"error: callgrind_control {what} failed:\n{done.stdout}{done.stderr}")


def total_in(file: Path) -> int:
    return int(re.search(r"^totals: (\d+)$", file.read_text(), re.MULTILINE).group(1))
