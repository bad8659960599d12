"""Measures what a request costs in Envoy: without a filter, with tollkeeper, and with what one would use instead.

Every set of filters has an Envoy of its own, with one worker. Rounds are interleaved: each measures every variant once,
and ratios are those within a round, so that a machine that becomes slower meanwhile changes times and hardly ratios.
"""

import argparse
import contextlib
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import host_calls
import instructions
import report
from components import KeyService, constant, envoy_of, get, key_service, server, signed_token, unpadded, until
from measure import Load, Target, can_count_instructions
from probes import Connection


class Variant(NamedTuple):
    """Which filters are asked, with which credential, and the status that they must answer with."""

    filters: str
    credential: str
    status: int


QUICK = {
    # Whoever has a key sends it, whatever is done with it.
    "bare": Variant("bare", "key", 200),
    "empty": Variant("empty", "key", 200),
    "tollkeeper_key": Variant("tollkeeper", "key", 200),
    "tollkeeper_jwt": Variant("tollkeeper", "token", 200),
    "tollkeeper_refused": Variant("tollkeeper", "unknown_key", 401),
    "native": Variant("api_key_auth", "x_api_key", 200),
    "ext_authz": Variant("ext_authz", "x_api_key", 200),
}
FULL = QUICK | {
    # A token is eight times as long as a key, and goes on to the upstream where nobody removes it.
    "bare_token": Variant("bare", "token", 200),
    "tollkeeper_jwt_first_use": Variant("tollkeeper", "new_tokens", 200),
    "tollkeeper_key_filter_state": Variant("tollkeeper_filter_state", "key", 200),
    "tollkeeper_key_guarded": Variant("tollkeeper_guarded", "key", 200),
    "tollkeeper_key_no_headers": Variant("tollkeeper_no_headers", "key", 200),
    "calls_key": Variant("calls_key", "key", 200),
    "calls_key_no_headers": Variant("calls_key_no_headers", "key", 200),
    "calls_refused": Variant("calls_refused", "unknown_key", 401),
    "jwt_authn": Variant("jwt_authn", "foreign_token", 200),
    "lua": Variant("lua", "x_api_key", 200),
    "ext_authz_grpc": Variant("ext_authz_grpc", "x_api_key", 200),
    "ext_authz_grpc_ratelimit": Variant("ext_authz_grpc_ratelimit", "x_api_key", 200),
}
# Whom the others ask.
SERVERS = {"ext_authz": "http", "ext_authz_grpc": "grpc", "ext_authz_grpc_ratelimit": "grpc"}
# The line that ends it, in this order.
LINE = ["bare", "empty", "tollkeeper_key", "tollkeeper_jwt", "native", "ext_authz"]
WARM_UP = 2000
# Each token takes a login, so there are not enough of them for whole rounds.
FIRST_USES = 300


def main() -> None:
    arguments = parsed()
    # What runs is ended also when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: ended by a signal"))
    variants = QUICK if arguments.quick else FULL
    counted = can_count_instructions()
    # The folder goes last.
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, contextlib.ExitStack() as running:
        bench = Bench(arguments, running, Path(folder))
        found = report.Found(counter="perf" if counted else None)
        if not counted and instructions.is_possible():
            found.counter = "valgrind"
            found.instructions = bench.instructions(variants, arguments.counted)
        steady = {name: variant for name, variant in variants.items() if variant.credential != "new_tokens"}
        # The line that ends a quick run needs nothing else once instructions are counted.
        if not (arguments.quick and found.instructions):
            found.rounds = bench.rounds(steady, arguments.rounds, arguments.requests, counted)
        if not arguments.quick:
            found.latencies = bench.latencies(steady, arguments.rate, arguments.latency_rounds)
            found.calls = bench.host_calls({name: one for name, one in steady.items() if name.startswith("tollkeeper")})
    print(report.table(found))
    if arguments.results:
        report.write(arguments, found)
    name, unit = ("bench-quick" if arguments.quick else "bench"), ("instructions" if found.counter else "cpu_time")
    summary = report.summary(found)
    ratios = " ".join(f"{variant}={summary[variant]['ratio']['median']:.3f}" for variant in LINE)
    print(f"{name}: unit={unit} {ratios}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for program in ("envoy", "keyservice", "tollkeeper", "empty", "calls", "constant", "oha"):
        parser.add_argument(f"--{program}", type=lambda path: str(Path(path).absolute()), required=True)
    parser.add_argument("--quick", action="store_true", help="fewer variants, and nothing but the cost of a request")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=5000, help="per variant and round")
    parser.add_argument("--counted", type=int, default=500, help="requests per variant when instructions are counted")
    parser.add_argument("--rate", type=int, default=500, help="requests per second when latencies are measured")
    parser.add_argument("--latency-rounds", type=int, default=31, help="of a second for each variant")
    parser.add_argument("--results", type=Path, help="the folder for results.json and RESULTS.md")
    return parser.parse_args()


class Bench:
    """Everything that is measured, running."""

    def __init__(self, arguments: argparse.Namespace, running: contextlib.ExitStack, folder: Path):
        self.arguments, self.running, self.folder = arguments, running, folder
        self.load = Load(arguments.oha, folder)
        self.upstream = running.enter_context(server([arguments.envoy], {}, folder / "upstream"))
        self.service = running.enter_context(key_service(arguments.keyservice, folder / "keyservice"))
        foreign_key, jwk = secrets.token_urlsafe(32), secrets.token_bytes(32)
        self.headers = headers(self.service, foreign_key, jwk)
        self.places = {
            "empty": arguments.empty,
            "calls": arguments.calls,
            "tollkeeper": arguments.tollkeeper,
            "upstream": str(self.upstream.port),
            "keyservice": str(self.service.port),
            # Only some filters call them, and they are not there yet.
            "authorization": str(self.upstream.port),
            "grpc": str(self.upstream.port),
            "node_token": self.service.node_token,
            "key": foreign_key,
            "jwk": unpadded(jwk).decode(),
        }
        self.envoys = {}
        self.start("tollkeeper")
        # The others say of the caller what tollkeeper says.
        told = self.auth_headers()
        self.places["principal"] = "{" + ", ".join(f'["{name}"] = "{value}"' for name, value in told.items()) + "}"
        self.told = told
        self.authorization = running.enter_context(server([arguments.envoy], told, folder / "authorization"))
        self.places["authorization"] = str(self.authorization.port)
        self.grpc = running.enter_context(constant([arguments.constant], told, folder / "grpc"))
        self.places["grpc"] = str(self.grpc.port)

    def start(self, name: str) -> None:
        started = envoy_of([self.arguments.envoy], [name], self.places, self.folder / name)
        self.envoys[name] = self.running.enter_context(started)

    def auth_headers(self) -> "dict[str, str]":
        url = f"http://127.0.0.1:{self.envoys['tollkeeper'].port}/"
        answer = until("tollkeeper has its keys", None, None, lambda: get(url, self.headers["key"]))
        return {name: value for name, value in answer.headers.items() if name.startswith("x-auth-")}

    def target(self, variant: Variant, port: "int | None" = None) -> Target:
        url = f"http://127.0.0.1:{port or self.envoys[variant.filters].port}/"
        return Target(url, self.headers[variant.credential], variant.status)

    def instructions(self, variants: dict, requests: int) -> "dict[str, list[float]]":
        """Per request, of the Envoy that is measured and of the server that it asks."""
        with contextlib.ExitStack() as counting:
            processes, targets = self.counted_processes(counting, variants)

            def load(name: str):
                return self.load_of(variants[name], targets[name], sent[name])

            sent = {name: least(variant, requests) for name, variant in variants.items()}
            working = {name: [counted_in(one), *filter(None, [SERVERS.get(name)])] for name, one in variants.items()}
            busy_with = {process: name for name, several in working.items() for process in several}
            for process, name in (busy_with | {"envoy": "bare"}).items():
                processes[process].begin(load(name))
            return {
                name: [processes[one].count(load(name)) / sent[name] for one in several]
                for name, several in working.items()
            }

    def load_of(self, variant: Variant, target: Target, requests: int) -> "Callable[[], None]":
        """One request at a time: what is done for several at once would be counted once."""
        if variant.credential != "new_tokens":
            return lambda: ask(target, [target.headers] * requests)
        key = self.headers["key"]["authorization"]
        tokens = [f"Bearer {self.service.token(key, session)}" for session in new_sessions(requests)]
        return lambda: ask(target, [{"authorization": token} for token in tokens])

    def counted_processes(self, counting: contextlib.ExitStack, variants: dict) -> "tuple[dict, dict]":
        """Envoys with all variants and the servers that they ask, warm; and what to send to each variant."""

        def program(path: str, name: str) -> "list[str]":
            return instructions.command(path, self.folder / f"counts-{name}")

        envoy, told = self.arguments.envoy, self.told
        http = counting.enter_context(server(program(envoy, "http"), told, self.folder / "counted-http"))
        grpc = program(self.arguments.constant, "grpc")
        grpc = counting.enter_context(constant(grpc, told, self.folder / "counted-grpc"))
        places = self.places | {"authorization": str(http.port), "grpc": str(grpc.port)}
        processes = {"http": http, "grpc": grpc}
        for process in {counted_in(variant) for variant in variants.values()}:
            filters = sorted({one.filters for one in variants.values() if counted_in(one) == process})
            started = envoy_of(program(envoy, process), filters, places, self.folder / f"counted-{process}")
            processes[process] = counting.enter_context(started)
        targets = {
            name: self.target(variant, processes[counted_in(variant)].ports[variant.filters])
            for name, variant in variants.items()
        }
        for name, target in targets.items():
            until(f"{name} answers", None, None, lambda: answers(target))
            warm_up = instructions.QUICK_WARM_UP if self.arguments.quick else instructions.WARM_UP
            self.load_of(variants[name], target, least(variants[name], warm_up))()
        counters = {
            name: instructions.Counter(process.pid, self.folder / f"counts-{name}")
            for name, process in processes.items()
        }
        return counters, targets

    def host_calls(self, variants: dict) -> "dict[str, dict[str, float]]":
        def send(variant: Variant, port: int) -> bool:
            return answers(self.target(variant, port))

        return host_calls.counted(self.arguments.envoy, variants, self.places, self.folder, send)

    def rounds(self, variants: dict, rounds: int, requests: int, counted: bool) -> "list[dict]":
        for name in sorted({variant.filters for variant in variants.values()} - self.envoys.keys()):
            self.start(name)
        self.each_warm(variants)
        measured = []
        for names in in_turn(variants, rounds):
            measured.append({name: self.cost(variants[name], requests, counted) for name in names})
            print(f"round {len(measured)} of {rounds}", file=sys.stderr, flush=True)
        return measured

    def each_warm(self, variants: dict) -> None:
        for name, variant in variants.items():
            target = self.target(variant)
            until(f"{name} answers", None, None, lambda: answers(target))
            self.load.costs(target, WARM_UP, [], False)

    def cost(self, variant: Variant, requests: int, counted: bool) -> dict:
        pids = [self.envoys[variant.filters].pid]
        if asked := SERVERS.get(variant.filters):
            pids.append({"http": self.authorization, "grpc": self.grpc}[asked].pid)
        return self.load.costs(self.target(variant), requests, pids, counted)

    def latencies(self, variants: dict, rate: int, rounds: int) -> "list[dict]":
        """Short rounds, because what a machine does besides changes within seconds."""
        taken = []
        for names in in_turn(variants, rounds):
            taken.append({name: self.load.latencies(self.target(variants[name]), rate, 1) for name in names})
            print(f"round {len(taken)} of {rounds}: latencies", file=sys.stderr, flush=True)
        return taken


def in_turn(variants: dict, rounds: int) -> "Iterator[list[str]]":
    """The names of each round: everybody is first and last in turn."""
    names = list(variants)
    for number in range(rounds):
        yield names[number % len(names):] + names[: number % len(names)]


def headers(service: KeyService, foreign_key: str, jwk: bytes) -> "dict[str, dict[str, str]]":
    """The headers of each credential."""
    credentials = service.credentials()
    return {
        "key": {"authorization": credentials["key"]},
        "unknown_key": {"authorization": credentials["unknown_key"]},
        "token": {"authorization": f"Bearer {credentials['token']}"},
        "new_tokens": {"authorization": f"Bearer {credentials['token']}"},
        "x_api_key": {"x-api-key": foreign_key},
        "foreign_token": {"authorization": f"Bearer {signed_token(jwk)}"},
    }


def counted_in(variant: Variant) -> str:
    """In which Envoy: under valgrind, one has not the addresses for the VMs of all, and leaves out what it cannot make."""
    return "calls" if variant.filters.startswith("calls") else "envoy"


def least(variant: Variant, requests: int) -> int:
    return min(requests, FIRST_USES) if variant.credential == "new_tokens" else requests


def new_sessions(count: int) -> "list[str]":
    return [secrets.token_hex(8) for _ in range(count)]


def ask(target: Target, requests: "list[dict[str, str]]") -> None:
    with Connection(int(target.url.rpartition(":")[2].strip("/"))) as connection:
        for headers in requests:
            if (status := connection.asked(headers)) != target.status:
                sys.exit(f"error: {target.url} should answer {target.status}: {status}")


def answers(target: Target) -> bool:
    try:
        return get(target.url, target.headers).status == target.status
    except OSError as refused:
        return getattr(refused, "code", None) == target.status


if __name__ == "__main__":
    main()
