"""Reads what tests say of what they tried ("hold: NAME COUNT key=value ..."), and prints one table of it.

The criterion comes first: what may never happen, how often it did, and how often it could have: "without_right=0/120" where only
some of a line's tries could, "vm_traps=0" where each of them could. It fails when anything of it happened, when nothing was tried
that could show it, or when a line cannot be read.
"""

import pathlib
import re
import sys

# What may never happen, by the word in the lines.
NEVER = {
    "without_right": "requests that reached the upstream without the right to",
    "valid_refused": "valid requests refused outside of stated limits and outages",
    "over": "requests admitted over a quota",
    "lost": "keys, revocations and audit entries lost",
    "differing": "keys that a worker took otherwise than the database has them",
    "records_differing": "records that Envoy's shared data and the database did not have alike",
    "vm_traps": "VM traps that nobody asked for",
    "waited": "requests that waited for the key service or the engine for longer than is configured and usual",
    "found": "credentials found in logs, answers, metrics, configuration, database or shared data",
    "taken": "tokens taken that should not be",
    "believed": "bad answers in the key service's place that were taken for good ones",
    "wrong": "signatures judged wrongly",
    "broke_it": "inputs that broke a probe",
}
LINE = re.compile(r"hold: (\S+) (\d+)((?: \w+=-?[\d.]+(?:/\d+)?)*)\s*$")


def lines(text):
    """Each line as name, count, and what came of it; a test that is retried says it once more."""
    found = {}
    for line in text.splitlines():
        at = line.find("hold: ")
        if at < 0:
            continue
        read = LINE.match(line[at:])
        if read is None:
            sys.exit(f"error: this line cannot be read: {line.strip()}")
        name, count, values = read.groups()
        found[name] = (int(count), dict(value.split("=") for value in values.split()))
    return found


def happened(count, value):
    """How often it did, and how often it could have: by itself, or with each of so many tries."""
    times, _, tries = value.partition("/")
    return float(times), int(tries or count)


def main():
    found = lines(pathlib.Path(sys.argv[1]).read_text(errors="replace"))
    if not found:
        sys.exit("error: nothing was tried")
    broken = False
    for word, what in NEVER.items():
        told = [happened(count, values[word]) for count, values in found.values() if word in values]
        times, tries = (sum(each) for each in zip(*told)) if told else (0, 0)
        broken |= times > 0 or tries == 0
        print(f"hold: {what}: {times:.0f} of {tries:,}")
    print("\n| what was tried | how often | what came of it |\n|---|---:|---|")
    for name, (count, values) in sorted(found.items()):
        outcome = ", ".join(f"{word.replace('_', ' ')} {value.replace('/', ' of ')}" for word, value in values.items())
        print(f"| {name.replace('/', ': ').replace('_', ' ')} | {count:,} | {outcome} |")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
