"""How much a process does while it is loaded: user-space instructions where the machine counts them, and CPU time."""

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

EVENT = "instructions:u"


@dataclass(frozen=True)
class Target:
    """What to send, and the status that every answer must have."""

    url: str
    headers: "dict[str, str]"
    status: int


def can_count_instructions() -> bool:
    with contextlib.suppress(OSError):
        shown = subprocess.run(["perf", "stat", "-x,", "-e", EVENT, "true"], capture_output=True, text=True)
        return shown.returncode == 0 and shown.stderr.partition(",")[0].strip().isdigit()
    return False


def cpu_seconds(pid: int) -> float:
    """Of all threads, to the nanosecond; none of Envoy's ends while it runs."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class Load:
    """The load generator."""

    def __init__(self, program: str, directory: Path):
        self.program, self.directory = program, directory

    def costs(self, target: Target, requests: int, pids: "list[int]", counted: bool) -> dict:
        """What each process did per request, at full speed."""
        before = [cpu_seconds(pid) for pid in pids]
        wrapped, counts = self.command(target, "-n", str(requests), "-c", "8"), []
        for pid in pids if counted else []:
            counts.append(self.directory / f"instructions-{pid}")
            wrapped = ["perf", "stat", "-x,", "-e", EVENT, "-p", str(pid), "-o", str(counts[-1]), *wrapped]
        told = self.run(wrapped, target)
        spent = [after - start for after, start in zip(map(cpu_seconds, pids), before)]
        return {
            "cpu_us": [seconds / requests * 1e6 for seconds in spent],
            "instructions": [counted_in(file) / requests for file in counts],
            "requests_per_second": told["summary"]["requestsPerSec"],
        }

    def latencies(self, target: Target, rate: int, seconds: int) -> dict:
        """Latencies in milliseconds at a fixed rate; the wait for a late generator is part of them."""
        command = self.command(target, "-q", str(rate), "-z", f"{seconds}s", "-c", "8", "--latency-correction")
        percentiles = self.run(command, target, ends_by_time=True)["latencyPercentiles"]
        return {name: percentiles[name] * 1e3 for name in ("p50", "p99")}

    def command(self, target: Target, *arguments: str) -> "list[str]":
        headers = [part for name, value in target.headers.items() for part in ("-H", f"{name}: {value}")]
        shared = ["--no-tui", "--worker-threads", "1", "--output-format", "json", "--redirect", "0"]
        return [self.program, *arguments, *shared, *headers, target.url]

    def run(self, command: "list[str]", target: Target, ends_by_time: bool = False) -> dict:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"error: {command[0]} failed:\n{done.stderr[-2000:]}")
        told = json.loads(done.stdout)
        errors = told["errorDistribution"]
        if ends_by_time:
            # What is on its way when the time is up.
            errors = {name: count for name, count in errors.items() if "deadline" not in name}
        if errors or set(told["statusCodeDistribution"]) != {str(target.status)}:
            sys.exit(f"error: {target.url} should answer {target.status}: {told['statusCodeDistribution']} {errors}")
        return told


def counted_in(file: Path) -> int:
    lines = [line for line in file.read_text().splitlines() if EVENT in line]
    return int(lines[0].partition(",")[0])
