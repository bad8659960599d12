"""Measures what a request costs in Envoy: without a filter, with tollkeeper, and with what one would use instead.

Every set of filters has an Envoy of its own, with one worker. Rounds are interleaved: each measures every variant once,
and ratios are those within a round, so that a machine that becomes slower meanwhile changes times and hardly ratios.
"""

import argparse
import contextlib
import secrets
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import report
from components import KeyService, envoy_of, get, key_service, server, signed_token, unpadded, until
from measure import Load, Target, can_count_instructions


class Variant(NamedTuple):
    """Which filters are asked, with which credential, and the status that they must answer with."""

    filters: str
    credential: "str | None"
    status: int


QUICK = {
    "bare": Variant("bare", None, 200),
    "empty": Variant("empty", None, 200),
    "tollkeeper_key": Variant("tollkeeper", "key", 200),
    "tollkeeper_jwt": Variant("tollkeeper", "token", 200),
    "tollkeeper_refused": Variant("tollkeeper", "unknown_key", 401),
    "native": Variant("api_key_auth", "x_api_key", 200),
    "ext_authz": Variant("ext_authz", "x_api_key", 200),
}
FULL = QUICK | {
    "tollkeeper_key_no_headers": Variant("tollkeeper_no_headers", "key", 200),
    "jwt_authn": Variant("jwt_authn", "foreign_token", 200),
    "lua": Variant("lua", "x_api_key", 200),
}
# The line that ends it, in this order.
LINE = ["bare", "empty", "tollkeeper_key", "tollkeeper_jwt", "native", "ext_authz"]
WARM_UP = 2000
# What tollkeeper tells in headers.
ALL = '"response_headers": "all"'
NOTHING = '"response_headers": "off", "request_headers": "off", "rate_limit_headers": "off"'


def main() -> None:
    arguments = parsed()
    # What runs is ended also when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: ended by a signal"))
    variants = QUICK if arguments.quick else FULL
    counted = can_count_instructions()
    # The folder goes last.
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, contextlib.ExitStack() as running:
        bench = Bench(arguments, running, Path(folder), {variant.filters for variant in variants.values()})
        measured = bench.rounds(variants, arguments.rounds, arguments.requests, counted)
        latencies = {} if arguments.quick else bench.latencies(variants, arguments.rate)
    summary = report.summary(measured, counted)
    print(report.table(summary, latencies, counted))
    if arguments.results:
        report.write(arguments, summary, measured, latencies, counted)
    name, unit = ("bench-quick" if arguments.quick else "bench"), ("instructions" if counted else "cpu_time")
    ratios = " ".join(f"{variant}={summary[variant]['ratio']['median']:.3f}" for variant in LINE)
    print(f"{name}: unit={unit} {ratios}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for program in ("envoy", "keyservice", "tollkeeper", "empty", "oha"):
        parser.add_argument(f"--{program}", type=lambda path: str(Path(path).absolute()), required=True)
    parser.add_argument("--quick", action="store_true", help="fewer variants, and nothing but the cost of a request")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=5000, help="per variant and round")
    parser.add_argument("--rate", type=int, default=500, help="requests per second when latencies are measured")
    parser.add_argument("--results", type=Path, help="the folder for results.json and RESULTS.md")
    return parser.parse_args()


class Bench:
    """Everything that is measured, running."""

    def __init__(self, arguments: argparse.Namespace, running: contextlib.ExitStack, folder: Path, filters: "set[str]"):
        self.arguments, self.running, self.folder = arguments, running, folder
        self.load = Load(arguments.oha, folder)
        self.upstream = running.enter_context(server(arguments.envoy, {}, folder / "upstream"))
        self.service = running.enter_context(key_service(arguments.keyservice, folder / "keyservice"))
        foreign_key, jwk = secrets.token_urlsafe(32), secrets.token_bytes(32)
        self.headers = headers(self.service, foreign_key, jwk)
        self.places = {
            "empty": arguments.empty,
            "tollkeeper": arguments.tollkeeper,
            "upstream": str(self.upstream.port),
            "keyservice": str(self.service.port),
            # Only one set of filters calls it, and it is not there yet.
            "authorization": str(self.upstream.port),
            "key": foreign_key,
            "jwk": unpadded(jwk).decode(),
        }
        self.envoys = {}
        self.start("tollkeeper")
        # The others say of the caller what tollkeeper says.
        told = self.auth_headers()
        self.places["principal"] = "{" + ", ".join(f'["{name}"] = "{value}"' for name, value in told.items()) + "}"
        self.authorization = running.enter_context(server(arguments.envoy, told, folder / "authorization"))
        self.places["authorization"] = str(self.authorization.port)
        for name in sorted(filters - {"tollkeeper"}):
            self.start(name)

    def start(self, name: str) -> None:
        file = name.removesuffix("_no_headers")
        told = ALL if file == name else NOTHING
        environment = {"TOLLKEEPER_NODE_TOKEN": self.service.node_token}
        started = envoy_of(self.arguments.envoy, file, self.places | {"told": told}, environment, self.folder / name)
        self.envoys[name] = self.running.enter_context(started)

    def auth_headers(self) -> "dict[str, str]":
        url = f"http://127.0.0.1:{self.envoys['tollkeeper'].port}/"
        answer = until("tollkeeper has its keys", None, None, lambda: get(url, self.headers["key"]))
        return {name: value for name, value in answer.headers.items() if name.startswith("x-auth-")}

    def target(self, variant: Variant) -> Target:
        url = f"http://127.0.0.1:{self.envoys[variant.filters].port}/"
        return Target(url, self.headers[variant.credential], variant.status)

    def rounds(self, variants: dict, rounds: int, requests: int, counted: bool) -> "list[dict]":
        self.each_warm(variants)
        measured, names = [], list(variants)
        for number in range(rounds):
            # Everybody is first and last in turn.
            turned = names[number % len(names):] + names[: number % len(names)]
            measured.append({name: self.cost(variants[name], requests, counted) for name in turned})
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        return measured

    def each_warm(self, variants: dict) -> None:
        for name, variant in variants.items():
            target = self.target(variant)
            until(f"{name} answers", None, None, lambda: answers(target))
            self.load.costs(target, WARM_UP, [], False)

    def cost(self, variant: Variant, requests: int, counted: bool) -> dict:
        pids = [self.envoys[variant.filters].pid]
        if variant.filters == "ext_authz":
            pids.append(self.authorization.pid)
        return self.load.costs(self.target(variant), requests, pids, counted)

    def latencies(self, variants: dict, rate: int) -> dict:
        taken = {name: [] for name in variants}
        for _ in range(3):
            for name, variant in variants.items():
                taken[name].append(self.load.latencies(self.target(variant), rate, 4))
        return {
            name: {which: statistics.median(one[which] for one in each) for which in ("p50", "p99")}
            for name, each in taken.items()
        }


def headers(service: KeyService, foreign_key: str, jwk: bytes) -> "dict[str | None, dict[str, str]]":
    """The headers of each credential."""
    credentials = service.credentials()
    return {
        None: {},
        "key": {"authorization": credentials["key"]},
        "unknown_key": {"authorization": credentials["unknown_key"]},
        "token": {"authorization": f"Bearer {credentials['token']}"},
        "x_api_key": {"x-api-key": foreign_key},
        "foreign_token": {"authorization": f"Bearer {signed_token(jwk)}"},
    }


def answers(target: Target) -> bool:
    try:
        return get(target.url, target.headers).status == target.status
    except OSError as refused:
        return getattr(refused, "code", None) == target.status


if __name__ == "__main__":
    main()
