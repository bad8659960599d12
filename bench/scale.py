"""Measures what many keys take: the first sync, Envoy's memory, what a request costs, and how soon changes are applied."""

import argparse
import contextlib
import datetime
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import components
import instructions
from components import Envoy, KeyService, envoy_of, key_service, server, until
from many_keys import fill, imported, key_id, text
from measure import cpu_seconds
from probes import Connection, Probes
from report import markdown

# A million keys take their time, above all under valgrind.
components.PATIENCE_SECONDS = 900
CHANGES = 1000
REVOCATIONS = 200
COUNTED_REQUESTS = 300


def main() -> None:
    arguments = parsed()
    rows = []
    for keys in arguments.keys:
        with tempfile.TemporaryDirectory(prefix="scale-") as folder, contextlib.ExitStack() as running:
            scale = Scale(arguments, running, Path(folder), keys)
            cost = scale.instructions() if instructions.is_possible() else None
            shared = []
            for workers in arguments.workers:
                shared.append({"keys": keys, "workers": workers, "instructions": cost} | scale.measured(workers))
                print(json.dumps(shared[-1]), flush=True)
            rows += [row | scale.apart(row["workers"]) for row in shared]
    print(table(rows))
    if arguments.results:
        write(arguments.results, rows)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for program in ("envoy", "keyservice", "tollkeeper"):
        parser.add_argument(f"--{program}", type=lambda path: str(Path(path).absolute()), required=True)
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--results", type=Path, help="the folder for SCALE.md and scale.json")
    return parser.parse_args()


class Scale:
    """A key service with that many keys, and Envoys that begin without any."""

    def __init__(self, arguments: argparse.Namespace, running: contextlib.ExitStack, folder: Path, keys: int):
        self.program, self.folder, self.keys, self.made = arguments.envoy, folder, keys, keys
        filled = key_service(arguments.keyservice, folder / "keyservice", lambda file: fill(file, keys))
        self.service: KeyService = running.enter_context(filled)
        self.upstream: Envoy = running.enter_context(server([arguments.envoy], {}, folder / "upstream"))
        anywhere = dict.fromkeys(["upstream", "authorization", "grpc"], str(self.upstream.port))
        self.places = anywhere | {"tollkeeper": arguments.tollkeeper, "keyservice": str(self.service.port)}
        self.places["node_token"] = self.service.node_token

    def envoy(self, program: "list[str]", name: str, workers: int):
        return envoy_of(program, ["tollkeeper"], self.places, self.folder / name, workers)

    def measured(self, workers: int) -> dict:
        began, busy = time.monotonic(), cpu_seconds(self.service.pid)
        with self.envoy([self.program], f"workers-{workers}", workers) as envoy:
            listens = time.monotonic()
            # What keeps the prober from its work keeps it from asking the upstream as well, where nothing is synced.
            with Probes(envoy.port, text(1)) as probes, Probes(self.upstream.port, "") as control:
                self.wait_for(envoy, self.made - 1)
                synced = time.monotonic()
            return {
                "start_seconds": synced - began,
                "sync_seconds": synced - listens,
                "service_cpu_seconds": cpu_seconds(self.service.pid) - busy,
                "envoy_cpu_seconds": cpu_seconds(envoy.pid),
                "memory_mb": memory_mb(envoy.pid),
                "changes_seconds": self.changes(envoy),
            } | stalls(probes, control) | self.revocations(envoy)

    def apart(self, workers: int) -> dict:
        """A first sync while nothing that takes part in it is without a core, for as far as two go: the last that is measured."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return {}
        asked, others = {cores[0]}, set(cores[1:])
        with contextlib.ExitStack() as given_back:
            for pid in (os.getpid(), self.upstream.pid):
                given_back.callback(keep_to, set(cores), pid)
            keep_to(others, self.service.pid)
            # Envoy's main thread is not interrupted while it has the lock of shared data. Not everybody may take this back.
            for thread in threads(self.service.pid):
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
            keep_to(asked, self.upstream.pid)
            # Whoever is started stays where it was started from.
            keep_to(others, os.getpid())
            with self.envoy([self.program], f"apart-{workers}", workers) as envoy:
                keep_to(asked, envoy.pid, "wrk:")
                keep_to(asked, os.getpid())
                with Probes(envoy.port, text(1)) as probes, Probes(self.upstream.port, "") as control:
                    self.wait_for(envoy, self.made - 1)
        return {f"apart_{name}": count for name, count in stalls(probes, control).items()}

    def wait_for(self, envoy: Envoy, number: int) -> None:
        until(f"key {number} is there", None, None, lambda: status(envoy, number) == 200)

    def changes(self, envoy: Envoy) -> float:
        """Seconds from the answer of the admin API to a thousand new keys until they work."""
        new = range(self.made, self.made + CHANGES)
        self.made += CHANGES
        self.service.post("/v1/keys/import", {"keys": [imported(number) for number in new]})
        answered = time.monotonic()
        with Connection(envoy.port) as connection:
            # They come in the order in which they were sent; the others are asked for to be sure.
            for number in reversed(new):
                while connection.status(text(number)) != 200:
                    pass
                if number == new[-1]:
                    taken = time.monotonic() - answered
        return taken

    def revocations(self, envoy: Envoy) -> dict:
        """Milliseconds from the admin API's answer to the first refusal on a new connection."""
        taken = []
        # Not the last that was made: with that, the next Envoy is known to have all.
        for number in range(self.made - CHANGES, self.made - CHANGES + REVOCATIONS):
            self.service.post(f"/v1/keys/{key_id(number)}/revoke", {})
            answered = time.monotonic()
            while status(envoy, number) != 401:
                pass
            taken.append((time.monotonic() - answered) * 1000)
        return {"revocation_p50_ms": statistics.median(taken), "revocation_p99_ms": statistics.quantiles(taken, n=100)[98]}

    def instructions(self) -> float:
        """Thousands per request, each with a key at random."""
        counts, chosen = self.folder / "counts", random.Random(1)

        def send() -> None:
            with Connection(envoy.port) as connection:
                for _ in range(COUNTED_REQUESTS):
                    connection.status(text(chosen.randrange(self.keys)))

        with self.envoy(instructions.command(self.program, counts), "counted", 1) as envoy:
            self.wait_for(envoy, self.keys - 1)
            for _ in range(instructions.WARM_UP // COUNTED_REQUESTS):
                send()
            counter = instructions.Counter(envoy.pid, counts)
            counter.begin(send)
            return counter.count(send) / COUNTED_REQUESTS / 1000


def keep_to(cores: "set[int]", pid: int, beginning: str = "") -> None:
    """Keeps the threads of a process whose names begin like this to these cores."""
    for thread in threads(pid, beginning):
        os.sched_setaffinity(thread, cores)


def threads(pid: int, beginning: str = "") -> "list[int]":
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(task.name) for task in tasks if (task / "comm").read_text().startswith(beginning)]


def stalls(probes: Probes, control: Probes) -> dict:
    return {
        "probes": len(probes.taken),
        "stalls": probes.stalls(),
        "control_stalls": control.stalls(),
        "slowest_ms": probes.slowest_ms(),
        "control_slowest_ms": control.slowest_ms(),
    }


def status(envoy: Envoy, number: int) -> int:
    with Connection(envoy.port) as connection:
        return connection.status(text(number))


def memory_mb(pid: int) -> float:
    """What only this process has, and its part of what it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


COLUMNS = {
    "start_seconds": "from Envoy's start to the last key, s",
    "sync_seconds": "from its listening, s",
    "service_cpu_seconds": "CPU time of the key service, s",
    "envoy_cpu_seconds": "of Envoy, s",
    "memory_mb": "memory of Envoy, MB",
    "probes": "probes meanwhile",
    "stalls": "of them over 5 ms",
    "control_stalls": "control: over 5 ms",
    "slowest_ms": "slowest probe, ms",
    "control_slowest_ms": "control: slowest, ms",
    "apart_probes": "with a core of their own: probes",
    "apart_stalls": "of them over 5 ms ",
    "apart_control_stalls": "control: over 5 ms ",
    "apart_slowest_ms": "slowest probe, ms ",
    "apart_control_slowest_ms": "control: slowest, ms ",
    "instructions": "instructions per request, thousands",
    "changes_seconds": "1,000 changes, s",
    "revocation_p50_ms": "revocation p50, ms",
    "revocation_p99_ms": "p99, ms",
}
TARGETS = {
    "sync_seconds": "10",
    "memory_mb": "200",
    "stalls": "0",
    "apart_stalls": "0",
    "instructions": "1.10 times that at 1,000 keys",
    "changes_seconds": "1",
    "revocation_p99_ms": "250",
}


def table(rows: "list[dict]") -> str:
    """A column for each row, because there is more to say of each than a page is wide."""
    titles = ["target, at most", *(f"{row['keys']:,} keys, {row['workers']} workers" for row in rows)]
    lines = {title: [TARGETS.get(name, ""), *(shown(row.get(name)) for row in rows)] for name, title in COLUMNS.items()}
    return markdown("", titles, lines)


def shown(value: "float | None") -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value > 50 or isinstance(value, int) else f"{value:.3g}"


def write(folder: Path, rows: "list[dict]") -> None:
    (folder / "scale.json").write_text(json.dumps(rows, indent=1) + "\n")
    template = Path(__file__).with_name("SCALE.template.md").read_text()
    about = {"date": datetime.date.today().isoformat(), "revocations": REVOCATIONS, "table": table(rows)}
    (folder / "SCALE.md").write_text(template.format(**about))


if __name__ == "__main__":
    main()
