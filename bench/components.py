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
from typing import Callable, Iterator

HERE = Path(__file__).resolve().parent
PATIENCE_SECONDS = 60
# What tollkeeper tells whom.
OFF = [f'"{what}": "off"' for what in ("response_headers", "request_headers", "rate_limit_headers", "filter_state")]
TOLD = {
    "tollkeeper": '"response_headers": "all", "filter_state": "off"',
    "tollkeeper_filter_state": '"response_headers": "all"',
    "tollkeeper_no_headers": ", ".join(OFF),
    "tollkeeper_guarded": '"response_headers": "all", "filter_state": "verdict"',
}
# What stands behind the filter.
BEHIND = {"tollkeeper_guarded": ["not_judged"]}
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
    # Of each listener, by its name.
    ports: "dict[str, int]"

    @property
    def port(self) -> int:
        (port,) = self.ports.values()
        return port


@contextlib.contextmanager
def envoy(
    program: "list[str]",
    configuration: str,
    directory: Path,
    environment: "dict[str, str] | None" = None,
    workers: int = 1,
) -> Iterator[Envoy]:
    """An Envoy, once it listens; `program` may begin with what runs it."""
    directory.mkdir()
    (directory / "envoy.yaml").write_text(configuration)
    command = [*program, "--config-path", "envoy.yaml", "--admin-address-path", "admin", "--concurrency", str(workers)]
    command += ["--disable-hot-restart", "--log-level", "warning"]
    with running(command, directory, environment or {}) as (process, log):
        admin = until(f"{directory.name} starts", process, log, lambda: (directory / "admin").read_text().strip())

        def ports() -> "dict[str, int]":
            statuses = json.load(get(f"http://{admin}/listeners?format=json"))["listener_statuses"]
            return {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in statuses}

        yield Envoy(process.pid, until(f"{directory.name} listens", process, log, ports))
        # Envoy leaves a filter out where it could not make a VM, and what is measured then is no filter.
        if "Failed to create new Wasm instance" in log.read_text(errors="replace"):
            sys.exit(f"error: {directory.name} could not make a VM for each of its filters: there are too many")


@contextlib.contextmanager
def server(program: "list[str]", headers: "dict[str, str]", directory: Path) -> Iterator[Envoy]:
    added = [{"header": {"key": name, "value": value}} for name, value in headers.items()]
    configuration = render((HERE / "server.yaml").read_text(), headers=json.dumps(added))
    with envoy(program, configuration, directory) as started:
        yield started


def envoy_of(
    program: "list[str]", filters: "list[str]", places: "dict[str, str]", directory: Path, workers: int = 1
) -> "contextlib.AbstractContextManager[Envoy]":
    """An Envoy with a listener for each of these sets of filters, as `filters/` has them."""
    listeners = textwrap.indent("".join(listener(name, places) for name in filters), " " * 4)
    configuration = render((HERE / "envoy.yaml").read_text(), listeners=listeners, **places)
    environment = {"TOLLKEEPER_NODE_TOKEN": places["node_token"]}
    return envoy(program, configuration, directory, environment, workers)


def listener(name: str, places: "dict[str, str]") -> str:
    file, told = ("tollkeeper", TOLD[name]) if name in TOLD else (name, "")
    files = [HERE / "filters" / f"{one}.yaml" for one in [file, *BEHIND.get(name, [])]]
    chosen = render("".join(one.read_text() for one in files), told=told, **places)
    return render((HERE / "listener.yaml").read_text(), name=name, filters=textwrap.indent(chosen, " " * 14))


def render(text: str, **places: str) -> str:
    return string.Template(text).substitute(places)


@dataclass(frozen=True)
class KeyService:
    pid: int
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
        return {"key": key, "token": self.token(key), "unknown_key": unknown(key)}

    def token(self, key: str, session: "str | None" = None) -> str:
        """The token of HS256 of a session with this key; a new one for a session that is new."""
        body = {"api_key": key} | ({"session_id": session} if session else {})
        return json.load(get(f"http://127.0.0.1:{self.port}/auth/login", body=body))["access_token"]


def unknown(key: str) -> str:
    """A key of the same form, with another secret and the checksum that fits."""
    public, secret, _ = key.rsplit("_", 2)
    body = f"{public}_{secret[::-1]}"
    return f"{body}_{zlib.crc32(body.encode()):08x}"


@contextlib.contextmanager
def key_service(program: str, directory: Path, fill: "Callable[[Path], None] | None" = None) -> Iterator[KeyService]:
    """A key service; `fill` may put into its database what takes too long by its API."""
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

    @contextlib.contextmanager
    def serving() -> Iterator[KeyService]:
        address.unlink(missing_ok=True)
        with running([program, "serve"], directory, environment) as (process, log):
            found = until("the key service starts", process, log, lambda: address.read_text().strip())
            yield KeyService(process.pid, int(found.rpartition(":")[2]), node, admin)

    if fill:
        # It makes the tables.
        with serving():
            pass
        fill(directory / "keys.db")
    with serving() as service:
        yield service


def signed_token(secret: bytes) -> str:
    """A token of HS256 for filters that know nothing of the key service."""
    claims = {"iss": "bench", "aud": "bench", "sub": "bench", "exp": int(time.time()) + 86400}
    parts = [{"alg": "HS256", "kid": "bench", "typ": "JWT"}, claims]
    signed = b".".join(unpadded(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + unpadded(hmac.digest(secret, signed, hashlib.sha256))).decode()


@dataclass(frozen=True)
class Constant:
    """A gRPC server that gives everybody the same answer."""

    pid: int
    port: int


@contextlib.contextmanager
def constant(program: "list[str]", headers: "dict[str, str]", directory: Path) -> Iterator[Constant]:
    directory.mkdir()
    address = directory / "address"
    # CheckResponse { status {}, ok_response { headers, response_headers_to_add } } and RateLimitResponse { OK }.
    both = b"".join(field(number, option(*one)) for number in (2, 6) for one in headers.items())
    check = field(1, b"") + field(3, both)
    answers = {
        "/envoy.service.auth.v3.Authorization/Check": check,
        "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit": b"\x08\x01",
    }
    command = [*program, str(address), *(f"{path}={message.hex()}" for path, message in answers.items())]
    with running(command, directory, {}) as (process, log):
        found = until("the gRPC server starts", process, log, lambda: address.read_text().strip())
        yield Constant(process.pid, int(found.rpartition(":")[2]))


def option(name: str, value: str) -> bytes:
    """envoy.config.core.v3.HeaderValueOption"""
    return field(1, field(1, name.encode()) + field(2, value.encode()))


def field(number: int, value: bytes) -> bytes:
    """A field of Protocol Buffers that has a length."""
    length, rest = b"", len(value)
    while rest > 127:
        length, rest = length + bytes([rest & 127 | 128]), rest >> 7
    return bytes([number << 3 | 2]) + length + bytes([rest]) + value


def unpadded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
