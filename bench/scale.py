"""Measures what many keys take: the first sync, Envoy's memory, how long a worker stalls meanwhile, and revocations.

The keys are written into the key service's database directly: a million calls of its API would take too long.
"""

import argparse
import contextlib
import datetime
import hashlib
import json
import secrets
import socket
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
from pathlib import Path

import components
from components import envoy_of, get, running, server, until

# A million keys take their time.
components.PATIENCE_SECONDS = 600
TEAMS = 1000
REVOCATIONS = 50
NEVER = 1_900_000_000


def main() -> None:
    arguments = parsed()
    rows = []
    for keys in arguments.keys:
        with tempfile.TemporaryDirectory(prefix="scale-") as folder, contextlib.ExitStack() as stack:
            service = Service(arguments.keyservice, Path(folder), keys, stack)
            upstream = stack.enter_context(server([arguments.envoy], {}, Path(folder) / "upstream"))
            for workers in arguments.workers:
                rows.append({"keys": keys, "workers": workers} | measured(arguments, service, upstream.port, workers))
                print(json.dumps(rows[-1]), flush=True)
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


class Service:
    """A key service with many keys."""

    def __init__(self, program: str, folder: Path, keys: int, stack: contextlib.ExitStack):
        self.folder, self.keys, self.revoked = folder, keys, 0
        self.node_token, self.admin_token = secrets.token_hex(32), secrets.token_hex(32)
        directory, address = folder / "keyservice", folder / "keyservice" / "address"
        directory.mkdir()
        environment = {
            "TOLLKEEPER_LISTEN": "127.0.0.1:0",
            "TOLLKEEPER_ADDRESS_FILE": str(address),
            "TOLLKEEPER_DATABASE": str(directory / "keys.db"),
            "TOLLKEEPER_ADMIN_TOKEN": self.admin_token,
            "TOLLKEEPER_NODE_TOKEN": self.node_token,
            "TOLLKEEPER_SIGNING_SECRET": secrets.token_hex(32),
        }
        # Once for the tables, and then for good.
        with running([program, "serve"], directory, environment) as (process, log):
            until("the key service starts", process, log, lambda: address.read_text().strip())
        address.unlink()
        fill(directory / "keys.db", keys)
        process, log = stack.enter_context(running([program, "serve"], directory, environment))
        found = until("the key service starts", process, log, lambda: address.read_text().strip())
        self.port = int(found.rpartition(":")[2])

    def revoke_next(self) -> str:
        """Revokes a key that works from anywhere, and gives its text."""
        self.revoked += 1
        number = self.revoked * 5 + 1
        url = f"http://127.0.0.1:{self.port}/v1/keys/{key_id(number)}/revoke"
        get(url, {"authorization": f"Bearer {self.admin_token}"}, {})
        return text(number)


def text(number: int) -> str:
    return f"foreign-key-number-{number:09}-of-the-benchmark"


def key_id(number: int) -> str:
    return f"k{number:014}"


def fill(file: Path, keys: int) -> None:
    """A team, two scopes, a subject and an expiry for each key; an origin for one in five."""

    def digest(what: str) -> bytes:
        return hashlib.sha256(what.encode()).digest()

    with contextlib.closing(sqlite3.connect(file)) as database, database:
        teams = [(f"t{number}", digest(f"t{number}")) for number in range(TEAMS)]
        put = "INSERT INTO teams (id, digest, name, state, created_at) VALUES (?, ?, 'n', 'active', 1)"
        database.executemany(put, teams)
        database.executemany("INSERT INTO published VALUES (1, ?, 1, NULL)", [team[1:] for team in teams])
        rows = (
            (key_id(number), digest(text(number)), f"t{number % TEAMS}", f"subject-{number}", origin(number), NEVER)
            for number in range(keys)
        )
        database.executemany(
            "INSERT INTO keys (id, digest, kind, team, subject, scopes, state, created_at, origin, expires)"
            " VALUES (?, ?, 'application', ?, ?, 'read write', 'active', 1, ?, ?)",
            rows,
        )
        database.execute("INSERT INTO published SELECT 2, digest, 2, NULL FROM keys")
        database.execute("UPDATE service SET revision = 2")


def origin(number: int) -> "str | None":
    return f"app{number}.example.com" if number % 5 == 0 else None


def measured(arguments: argparse.Namespace, service: Service, upstream: int, workers: int) -> dict:
    folder = service.folder / f"workers-{workers}"
    places = {"tollkeeper": arguments.tollkeeper, "node_token": service.node_token, "keyservice": str(service.port)}
    places |= {"upstream": str(upstream), "authorization": str(upstream), "grpc": str(upstream)}
    began = time.monotonic()
    with envoy_of([arguments.envoy], ["tollkeeper"], places, folder, workers) as envoy:
        url = f"http://127.0.0.1:{envoy.port}/"
        with Probes(envoy.port) as probes:
            until("the keys are there", None, None, lambda: status(url, text(service.keys - 1)) == 200)
            synced = time.monotonic() - began
        told = [revocation(service, url) for _ in range(REVOCATIONS)]
        return {
            "sync_seconds": synced,
            "memory_mb": memory_mb(envoy.pid),
            "slowest_probe_ms": max(probes.taken) * 1000,
            "revocation_p50_ms": statistics.median(told) * 1000,
            "revocation_max_ms": max(told) * 1000,
        }


def status(url: str, key: str) -> int:
    try:
        return get(url, {"authorization": key}).status
    except urllib.error.HTTPError as refused:
        return refused.code


def revocation(service: Service, url: str) -> float:
    """Seconds from the answer of the admin API to the first refusal on a new connection."""
    key = service.revoke_next()
    answered = time.monotonic()
    while status(url, key) != 401:
        pass
    return time.monotonic() - answered


def memory_mb(pid: int) -> float:
    """What only this process has, and its part of what it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


class Probes:
    """Asks again and again over one connection, so one worker, and notes how long each answer took."""

    def __init__(self, port: int):
        self.port, self.taken, self.is_over = port, [], threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def __enter__(self) -> "Probes":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.is_over.set()
        self.thread.join()

    def ask(self) -> None:
        request = f"GET / HTTP/1.1\r\nhost: bench\r\nauthorization: {text(1)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self.is_over.is_set():
                began, answer = time.perf_counter(), b""
                connection.sendall(request)
                # A refusal has a body, and the answer of the upstream too: they come at once.
                while b"\r\n\r\n" not in answer:
                    answer += connection.recv(65536) or sys.exit("error: Envoy closed a probe's connection")
                self.taken.append(time.perf_counter() - began)
                time.sleep(0.0005)


COLUMNS = {
    "keys": "keys",
    "workers": "workers",
    "sync_seconds": "from Envoy's start to the last key, s",
    "memory_mb": "memory of Envoy, MB",
    "slowest_probe_ms": "slowest probe meanwhile, ms",
    "revocation_p50_ms": "revocation p50, ms",
    "revocation_max_ms": "and the slowest, ms",
}


def write(folder: Path, rows: "list[dict]") -> None:
    (folder / "scale.json").write_text(json.dumps(rows, indent=1) + "\n")
    cells = [[shown(row[column]) for column in COLUMNS] for row in rows]
    lines = [" | ".join(COLUMNS.values()), "---|" * len(COLUMNS), *(" | ".join(row) for row in cells)]
    table = "\n".join(f"|{line}" if line.startswith("---") else f"| {line} |" for line in lines)
    template = Path(__file__).with_name("SCALE.template.md").read_text()
    about = {"date": datetime.date.today().isoformat(), "revocations": REVOCATIONS, "table": table}
    (folder / "SCALE.md").write_text(template.format(**about))


def shown(value: float) -> str:
    return f"{value:,.0f}" if value > 50 else f"{value:.3g}"


if __name__ == "__main__":
    main()
