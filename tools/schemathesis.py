"""Starts a key service with a database of its own, and lets schemathesis try to find an answer that is not described.

It is run with a fixed seed, so that it does the same every time, and takes about a minute.
"""

import argparse
import contextlib
import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

# This file has the name of the package.
sys.path = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parent]
sys.path.append(str(Path(__file__).resolve().parent))

from environment import Environment, output_of  # noqa: E402

REQUIREMENTS = Path(__file__).with_name("schemathesis.txt")
SEED = "20300131"
PATIENCE_SECONDS = 60
CONFIGURATION = Path(__file__).with_name("schemathesis.toml").resolve()


def main() -> None:
    # Who is ended ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("directory", type=Path, help="where the virtual environment is, or goes")
    arguments.add_argument("keyservice", type=Path, nargs="?", help="the program; without it, schemathesis is only fetched")
    arguments.add_argument("--examples", default="30", help="how many cases to try per endpoint and phase")
    arguments = arguments.parse_args()
    schemathesis = installed(arguments.directory.absolute())
    if arguments.keyservice is None:
        return
    with tempfile.TemporaryDirectory(prefix="schemathesis-") as folder:
        with served(arguments.keyservice.absolute(), Path(folder)) as service:
            service.seed()
            began = time.monotonic()
            code = attack(schemathesis, service, arguments.examples)
            print(f"measured: schemathesis took {time.monotonic() - began:.0f} s with seed {SEED}", flush=True)
            service.ensure_healthy()
    sys.exit(code)


def installed(directory: Path) -> str:
    return Environment(
        directory=directory,
        requirements=REQUIREMENTS,
        version=hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16],
        announcement=f"Fetching schemathesis into {directory}",
        remedy="pip could not install schemathesis: is the network there?",
        find=lambda python: ensure_runs(python.with_name("schemathesis")),
    ).program()


def ensure_runs(program: Path) -> str:
    output_of([str(program), "--version"])
    return str(program)


class Service:
    """A key service that runs, and the token that opens it."""

    def __init__(self, url: str, token: str, process: subprocess.Popen, log: Path):
        self.url, self.token, self.process, self.log = url, token, process, log

    def post(self, path: str, body: dict) -> dict:
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def seed(self) -> None:
        """A little of everything, so that the examples of the description exist."""
        self.post("/v1/enterprises", {"id": "initech"})
        self.post("/v1/teams", {"id": "acme", "enterprise": "initech"})
        self.post("/v1/users", {"id": "ada", "team": "acme", "permissions": ["read"]})
        self.post("/v1/service-accounts", {"id": "ci", "team": "acme"})
        self.post("/v1/service-accounts", {"id": "billing", "enterprise": "initech"})
        self.post("/v1/keys", {"team": "acme", "scopes": ["read"], "origin": {"domain": "mycoolapp.com"}})
        self.post("/v1/keys", {"service_account": "ci", "scopes": ["read"]})
        self.post("/v1/keys", {"user": "ada"})

    def ensure_healthy(self) -> None:
        """It still runs, and has not failed on the way."""
        if self.process.poll() is not None:
            sys.exit(f"error: the key service ended with {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
        errors = [line for line in self.log.read_text().splitlines() if '"level":"ERROR"' in line]
        if errors:
            sys.exit("error: the key service logged errors:\n" + "\n".join(errors[:10]))


@contextlib.contextmanager
def served(program: Path, folder: Path):
    """A key service on a free port; it is ended by its own handle, whatever happens."""
    token, address, log = secrets.token_hex(32), folder / "address", folder / "log"
    environment = {
        "TOLLKEEPER_LISTEN": "127.0.0.1:0",
        "TOLLKEEPER_ADDRESS_FILE": str(address),
        "TOLLKEEPER_DATABASE": str(folder / "keys.db"),
        "TOLLKEEPER_ADMIN_TOKEN": token,
        "TOLLKEEPER_NODE_TOKEN": secrets.token_hex(32),
        "TOLLKEEPER_SIGNING_SECRET": secrets.token_hex(32),
    }
    with open(log, "w") as errors:
        process = subprocess.Popen([program, "serve"], env=environment, cwd=folder, stderr=errors)
    try:
        yield Service(f"http://{wait_for(address, process, log)}", token, process, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(address: Path, process: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            if found := address.read_text().strip():
                return found
        time.sleep(0.02)
    sys.exit(f"error: the key service did not start:\n{log.read_text()[-2000:]}")


def attack(schemathesis: str, service: Service, examples: str) -> int:
    command = [
        schemathesis, "--config-file", str(CONFIGURATION), "run", f"{service.url}/openapi.json",
        # Nodes have a token of their own.
        "--exclude-tag", "nodes",
        "--phases", "examples,coverage,fuzzing,stateful",
        "--max-examples", examples,
        "--seed", SEED,
        "--warnings", "off",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment["TOLLKEEPER_ADMIN_TOKEN"] = service.token
    return subprocess.run(command, env=environment, cwd=service.log.parent).returncode


if __name__ == "__main__":
    main()
