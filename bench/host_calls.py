"""How often a request crosses between Envoy and the module, as Envoy itself writes it into its log."""

import collections
import re
import time
from pathlib import Path

from components import envoy_of, until

# [host->vm] is Envoy entering the module, [vm->host] the module calling Envoy.
CROSSING = re.compile(r"\[(host->vm|vm->host)\] (?:env\.|wasi_snapshot_preview1\.)?(\w+)\(([^)]*)\)")
REQUESTS = 20


def program(envoy: str, folder: Path) -> str:
    """An Envoy that writes every crossing into its log."""
    script = folder / "envoy-that-tells"
    script.write_text(f'#!/bin/sh\nexec "{envoy}" "$@" --component-log-level wasm:trace\n')
    script.chmod(0o755)
    return str(script)


def counted(envoy: str, variants: dict, places: dict, folder: Path, answers) -> "dict[str, dict[str, float]]":
    """Per request of each variant; `answers(variant, port)` sends one, and says whether it went as it should."""
    found = {}
    for name, variant in variants.items():
        directory = folder / f"calls-{name}"
        with envoy_of([program(envoy, folder)], [variant.filters], places, directory) as started:
            until(f"{name} answers", None, None, lambda: answers(variant, started.port))
            log = directory / "log"
            time.sleep(0.5)
            begin = log.stat().st_size
            for _ in range(REQUESTS):
                answers(variant, started.port)
            # Envoy writes its log a little later.
            time.sleep(0.5)
            found[name] = per_request(log.read_text(errors="replace")[begin:])
    return found


def per_request(log: str) -> "dict[str, float]":
    """Of the worker's thread, without what comes of a tick."""
    lines = [(thread_of(line), line) for line in log.splitlines()]
    workers = {thread for thread, line in lines if "[host->vm] proxy_on_request_headers" in line}
    counts, is_tick = collections.Counter(), False
    for line in (line for thread, line in lines if thread in workers):
        is_tick = "[host->vm] proxy_on_tick" in line or (is_tick and "[host<-vm] proxy_on_tick" not in line)
        crossing = CROSSING.search(line)
        if crossing and not is_tick:
            counts[kind(*crossing.groups())] += 1
    return {name: count / REQUESTS for name, count in counts.items()}


def thread_of(line: str) -> str:
    """[time][thread][level][logger] …"""
    return line.split("][", 2)[1] if line.count("][") > 1 else ""


def kind(direction: str, name: str, arguments: str) -> str:
    if direction == "host->vm":
        return f"entering `{name}`"
    if "header_map" in name:
        return f"`{name}` of the {'request' if arguments.split(',')[0].strip() == '0' else 'response'}"
    return f"`{name}`"
