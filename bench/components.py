"""The real components of a benchmark, each ended by its own handle when its `with` ends."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import string
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

HERE = Path(__file__).resolve().parent
PATIENCE_SECONDS = 60
# Loopback needs no proxy, whatever the environment says.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, headers: "dict[str, str] | None" = None, body: "dict | None" = None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})})
    return OPENER.open(request, timeout=PATIENCE_SECONDS)


def until(what: str, process: "subprocess.Popen | None", log: "Path | None", probe):
    """Asks until there is an answer. Whoever ends or is late ends the benchmark, with the end of the log."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        with contextlib.suppress(OSError, ValueError, LookupError):
            if answer := probe():
                return answer
        time.sleep(0.02)
    sys.exit(f"error: waited in vain until {what}" + (f":\n{log.read_text()[-3000:]}" if log else ""))


@contextlib.contextmanager
def running(command: "list[str]", directory: Path, environment: "dict[str, str]"):
    """The process and its log."""
    log = directory / "log"
    with open(log, "w") as output:
        process = subprocess.Popen(command, env=environment, cwd=directory, stdout=output, stderr=output)
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Envoy:
    pid: int
    port: int


@contextlib.contextmanager
def envoy(program: str, configuration: str, directory: Path, environment: "dict[str, str]") -> Iterator[Envoy]:
    """An Envoy with one worker, once it listens."""
    directory.mkdir()
    (directory / "envoy.yaml").write_text(configuration)
    command = [program, "--config-path", "envoy.yaml", "--admin-address-path", "admin", "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "warning"]
    with running(command, directory, environment) as (process, log):
        admin = until(f"{directory.name} starts", process, log, lambda: (directory / "admin").read_text().strip())

        def port() -> int:
            statuses = json.load(get(f"http://{admin}/listeners?format=json"))["listener_statuses"]
            return statuses[0]["local_address"]["socket_address"]["port_value"]

        yield Envoy(process.pid, until(f"{directory.name} listens", process, log, port))


@contextlib.contextmanager
def server(program: str, headers: "dict[str, str]", directory: Path) -> Iterator[Envoy]:
    added = [{"header": {"key": name, "value": value}} for name, value in headers.items()]
    configuration = render((HERE / "server.yaml").read_text(), headers=json.dumps(added))
    with envoy(program, configuration, directory, {}) as started:
        yield started


@contextlib.contextmanager
def envoy_of(
    program: str, filters: str, places: "dict[str, str]", environment: "dict[str, str]", directory: Path
) -> Iterator[Envoy]:
    """An Envoy with the filters of a file in `filters/`."""
    chosen = render((HERE / "filters" / f"{filters}.yaml").read_text(), **places)
    configuration = render((HERE / "envoy.yaml").read_text(), filters=textwrap.indent(chosen, " " * 18), **places)
    with envoy(program, configuration, directory, environment) as started:
        yield started


def render(text: str, **places: str) -> str:
    return string.Template(text).substitute(places)


@dataclass(frozen=True)
class KeyService:
    port: int
    node_token: str
    admin_token: str

    def post(self, path: str, body: dict) -> dict:
        allowed = {"authorization": f"Bearer {self.admin_token}"}
        try:
            return json.load(get(f"http://127.0.0.1:{self.port}{path}", allowed, body))
        except urllib.error.HTTPError as refused:
            sys.exit(f"error: the key service refuses POST {path}: {refused.read().decode()}")

    def credentials(self) -> "dict[str, str]":
        """A key, a token of HS256 that a login gives for it, and a key that was never known to this service."""
        self.post("/v1/teams", {"id": "acme", "name": "Acme"})
        tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
        # Whatever a header of tollkeeper can say of an application's key, it says.
        description = {"team": "acme", "subject": "bench", "scopes": ["read", "write"], "expires": tomorrow}
        key = self.post("/v1/keys", description)["key"]
        token = json.load(get(f"http://127.0.0.1:{self.port}/auth/login", body={"api_key": key}))["access_token"]
        return {"key": key, "token": token, "unknown_key": unknown(key)}


def unknown(key: str) -> str:
    """A key of the same form, with another secret and the checksum that fits."""
    public, secret, _ = key.rsplit("_", 2)
    body = f"{public}_{secret[::-1]}"
    return f"{body}_{zlib.crc32(body.encode()):08x}"


@contextlib.contextmanager
def key_service(program: str, directory: Path) -> Iterator[KeyService]:
    directory.mkdir()
    node, admin, address = secrets.token_hex(32), secrets.token_hex(32), directory / "address"
    environment = {
        "TOLLKEEPER_LISTEN": "127.0.0.1:0",
        "TOLLKEEPER_ADDRESS_FILE": str(address),
        "TOLLKEEPER_DATABASE": str(directory / "keys.db"),
        "TOLLKEEPER_ADMIN_TOKEN": admin,
        "TOLLKEEPER_NODE_TOKEN": node,
        "TOLLKEEPER_SIGNING_SECRET": secrets.token_hex(32),
    }
    with running([program, "serve"], directory, environment) as (process, log):
        found = until("the key service starts", process, log, lambda: address.read_text().strip())
        yield KeyService(int(found.rpartition(":")[2]), node, admin)


def signed_token(secret: bytes) -> str:
    """A token of HS256 for filters that know nothing of the key service."""
    claims = {"iss": "bench", "aud": "bench", "sub": "bench", "exp": int(time.time()) + 86400}
    parts = [{"alg": "HS256", "kid": "bench", "typ": "JWT"}, claims]
    signed = b".".join(unpadded(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + unpadded(hmac.digest(secret, signed, hashlib.sha256))).decode()


def unpadded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
