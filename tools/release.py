"""Builds what is given out, with checksums and bills of materials, so that the same source gives the same bytes.

Nothing of the machine goes in: paths are replaced by fixed ones, flags of the environment are left out, and bills of materials
carry no dates. `--twice` builds two fresh clones of HEAD, in folders of other names and with another CARGO_HOME, and compares.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))

from environment import Environment, output_of  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
WASM = "wasm32-wasip1"
REQUIREMENTS = Path(__file__).with_name("cyclonedx.txt")
FLAGS = "CARGO_ENCODED_RUSTFLAGS"
# What would change the bytes, or could.
FOREIGN = re.compile(r"^(RUSTFLAGS|CARGO_ENCODED_RUSTFLAGS|RUSTC_.*|CARGO_PROFILE_.*|CARGO_BUILD_.*|CFLAGS.*|SOURCE_DATE_EPOCH)$")
VALIDATE = """
import json, sys
from importlib.resources import files
import jsonschema_rs
schemas = files("cyclonedx.schema") / "_res"
names = {"spdx": "spdx.SNAPSHOT.schema.json", "jsf-0.82": "jsf-0.82.SNAPSHOT.schema.json"}
def schema(name):
    return json.loads((schemas / name).read_text())
def retrieve(uri):
    return schema(next(name for part, name in names.items() if uri.rsplit("/", 1)[-1].startswith(part)))
validator = jsonschema_rs.validator_for(schema("bom-1.6.SNAPSHOT.schema.json"), retriever=retrieve)
for bill in sys.argv[1:]:
    mistakes = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(json.load(open(bill)))]
    if mistakes:
        sys.exit(f"error: {bill} is no CycloneDX 1.6: {mistakes[:5]}")
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("output", type=Path, help="the folder for what is given out, made anew")
    arguments.add_argument("--target", type=Path, default=ROOT / "target" / "given-out", help="what cargo builds into")
    arguments.add_argument("--tools", type=Path, default=ROOT / ".tools", help="where the validator is, or goes")
    arguments.add_argument("--only", choices=["filter", "keyservice"], help="one of the two; both unless told")
    arguments.add_argument("--twice", action="store_true", help="build two fresh clones, and compare")
    arguments = arguments.parse_args()
    output, target, tools = (path.absolute() for path in (arguments.output, arguments.target, arguments.tools))
    if arguments.twice:
        twice(output, tools, arguments.only)
    else:
        build(output, target, tools, arguments.only)


def build(output: Path, target: Path, tools: Path, only: "str | None") -> None:
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    environment = fixed(target)
    host = re.search(r"^host: (.+)$", output_of(["rustc", "-vV"]), re.MULTILINE).group(1)

    def cargo(*words: str, flags: "tuple[str, ...]" = ()) -> None:
        # The environment's flags take the place of those of Cargo's configuration.
        encoded = {FLAGS: "\x1f".join([environment[FLAGS], *flags])}
        subprocess.run(["cargo", "build", "--locked", *words], cwd=ROOT, env=environment | encoded, check=True)

    given, bills = [], []
    if only != "keyservice":
        say("==> Building the filter")
        configured = tomllib.loads((ROOT / ".cargo" / "config.toml").read_text())["target"][WASM]["rustflags"]
        cargo("--package", "tollkeeper", "--lib", "--profile", "filter", "--target", WASM, flags=tuple(configured))
        # It only takes exports away: it does not matter how it was built.
        cargo("--quiet", "--package", "lab", "--bin", "lab")
        module = output / "tollkeeper.wasm"
        packed = [target / "debug" / "lab", "pack", target / WASM / "filter" / "tollkeeper.wasm", module]
        subprocess.run(packed, check=True, stdout=sys.stderr)
        given, bills = [*given, module], [*bills, bill("tollkeeper", WASM, module)]
    if only != "filter":
        say("==> Building the key service")
        cargo("--release", "--package", "keyservice", "--bin", "keyservice")
        program = output / f"keyservice-{host}"
        shutil.copy2(target / "release" / "keyservice", program)
        given, bills = [*given, program], [*bills, bill("keyservice", host, program)]
    validate(bills, tools)
    (output / "SHA256SUMS").write_text("".join(f"{digest(path)}  {path.name}\n" for path in [*given, *bills]))
    print((output / "SHA256SUMS").read_text(), end="", flush=True)


def fixed(target: Path) -> "dict[str, str]":
    """An environment in which no path of this machine, and no setting of its owner, comes into what is built."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").absolute()
    # The later of two that fit is taken: a target folder may lie in the source's.
    paths = {ROOT: "/source", target: "/target", home: "/cargo"}
    environment = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    environment["CARGO_TARGET_DIR"] = str(target)
    environment["CARGO_INCREMENTAL"] = "0"
    environment[FLAGS] = "\x1f".join(f"--remap-path-prefix={path}={name}" for path, name in paths.items())
    environment["CFLAGS"] = " ".join(f"-ffile-prefix-map={path}={name}" for path, name in paths.items())
    return environment


def bill(package: str, platform: str, artifact: Path) -> Path:
    """The bill of materials of an artifact: what is linked into it, from where, and under which licences."""
    tree = ["cargo", "tree", "--locked", "--package", package, "--target", platform, "--edges", "normal,no-proc-macro"]
    lines = output_of([*tree, "--prefix", "none", "--format", "{p}", "--no-dedupe"]).splitlines()
    names = {tuple(line.split(" ")[:2]) for line in lines if line}
    names = {(name, version.removeprefix("v")) for name, version in names}
    metadata = json.loads(output_of(["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", platform]))
    packages = {found["id"]: found for found in metadata["packages"] if (found["name"], found["version"]) in names}
    checksums = {
        (found["name"], found["version"]): found.get("checksum")
        for found in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    }
    parts = {id: part(found, checksums) for id, found in packages.items()}
    (root,) = (id for id, found in packages.items() if found["name"] == package)
    parts[root] |= {"type": "application", "hashes": [{"alg": "SHA-256", "content": digest(artifact)}]}
    others = sorted((parts[id] for id in parts if id != root), key=lambda part: part["bom-ref"])
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": parts[root]},
        "components": others,
        "dependencies": dependencies(metadata, parts),
    }
    path = artifact.with_name(f"{artifact.name}.cdx.json")
    path.write_text(json.dumps(document, indent=2) + "\n")
    say(f"{path.name}: {len(others)} components")
    return path


def part(package: dict, checksums: dict) -> dict:
    name, version = package["name"], package["version"]
    purl = f"pkg:cargo/{name}@{version}"
    checksum = checksums[name, version]
    component = {"type": "library", "bom-ref": purl, "name": name, "version": version}
    if checksum:
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    # The older spelling of `OR`.
    component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return component | {"purl": purl}


def dependencies(metadata: dict, parts: dict) -> "list[dict]":
    def linked(node: dict) -> "list[str]":
        normal = (edge["pkg"] for edge in node["deps"] if any(kind["kind"] is None for kind in edge["dep_kinds"]))
        return sorted(parts[id]["bom-ref"] for id in normal if id in parts)

    nodes = (node for node in metadata["resolve"]["nodes"] if node["id"] in parts)
    found = [{"ref": parts[node["id"]]["bom-ref"], "dependsOn": linked(node)} for node in nodes]
    return sorted(found, key=lambda node: node["ref"])


def validate(bills: "list[Path]", tools: Path) -> None:
    python = Environment(
        directory=tools / "cyclonedx",
        requirements=REQUIREMENTS,
        version=hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16],
        announcement="Fetching the schema of CycloneDX (about 3 MB)",
        remedy="pip could not install the schema of CycloneDX: is the network there?",
        find=str,
    ).program()
    # The package itself would need others; its folder of schemas is all that is looked at.
    subprocess.run([python, "-c", VALIDATE, *bills], check=True)
    say("bills of materials: valid CycloneDX 1.6")


def twice(output: Path, tools: Path, only: "str | None") -> None:
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").absolute()
    if output_of(["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"]):
        say("note: what is not committed is not in the clones")
    sums = []
    with tempfile.TemporaryDirectory(prefix="tollkeeper-") as folder:
        for name in ["first", "the-second-in-a-longer-path/below"]:
            place = Path(folder) / name
            subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(place)], check=True)
            another_home = place.with_name(place.name + "-cargo")
            another_home.mkdir()
            # What was downloaded is there under another name, so nothing is downloaded again.
            (another_home / "registry").symlink_to(home / "registry")
            environment = {**os.environ, "CARGO_HOME": str(another_home)}
            began = time.monotonic()
            given, target = place.with_name(place.name + "-dist"), place.with_name(place.name + "-target")
            command = [sys.executable, "-B", "tools/release.py", str(given), "--target", str(target), "--tools", str(tools)]
            command += ["--only", only] if only else []
            subprocess.run(command, cwd=place, env=environment, check=True)
            say(f"{place}: {time.monotonic() - began:.0f} s")
            sums.append((given / "SHA256SUMS").read_text())
            if len(sums) == 1:
                shutil.rmtree(output, ignore_errors=True)
                shutil.copytree(given, output)
            shutil.rmtree(target)
    first, second = (dict(reversed(line.split()) for line in text.splitlines()) for text in sums)
    for name, checksum in first.items():
        print(f"{'same' if second.get(name) == checksum else 'DIFFERENT'}  {checksum}  {name}")
    if first != second:
        sys.exit("error: two clones of the same commit gave different bytes")
    print("measured: two fresh clones in different folders gave the same bytes")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
