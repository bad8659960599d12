"""Virtual environments of wheels, pinned by hashes: whole or not there, and installed by one process at a time.

What comes as a wheel takes Python's own tools to fetch, no root and no package manager. A stamp that is written last
tells a complete environment from one that was interrupted.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable


@dataclass(frozen=True)
class Environment:
    """What is wanted: the wheels of `requirements`, in `directory`."""

    directory: Path
    requirements: Path
    # Tells one list of wheels from another.
    version: str
    # What to say before it takes a while, and when it fails.
    announcement: str
    remedy: str
    # Finds and tries the program, given the Python of the environment.
    find: Callable[[Path], str]

    def program(self) -> str:
        """The path of the program, fetched if it is not there yet."""
        with exclusively(self.directory):
            return self.installed() or self.install()

    def stamp(self) -> Path:
        return self.directory / f"complete-{self.version}"

    def installed(self) -> "str | None":
        try:
            path = self.stamp().read_text().strip()
        except OSError:
            return None
        # The directory may have been moved since.
        return path if os.access(path, os.X_OK) and Path(path).is_relative_to(self.directory) else None

    def install(self) -> str:
        say(f"==> {self.announcement}")
        shutil.rmtree(self.directory, ignore_errors=True)
        run(
            [sys.executable, "-m", "venv", str(self.directory)],
            "Python's venv is missing or broken. On Debian and Ubuntu: apt-get install python3-venv",
        )
        python = self.directory / "bin" / "python"
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--quiet"]
        # What the list has no hash of is refused.
        run([*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", str(self.requirements)], self.remedy)
        path = self.find(python)
        beside = self.directory / "complete.new"
        beside.write_text(path + "\n")
        beside.rename(self.stamp())
        return path


@contextlib.contextmanager
def exclusively(directory: Path):
    """Two makes at once must not install into each other's directory."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_name(directory.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def output_of(command: "list[str]") -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run(command: "list[str]", remedy: str) -> None:
    # Standard output is for the path alone.
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        sys.exit(f"error: {remedy}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
