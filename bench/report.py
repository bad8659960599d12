"""What was measured, for people and for programs."""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

import chart


@dataclass
class Found:
    """What was measured."""

    # What counted instructions: "perf", with every round; "valgrind", once, because it hardly varies; or nothing.
    counter: "str | None"
    # Of Envoy, and of the server that it asks, where valgrind counted.
    instructions: "dict[str, list[float]]" = field(default_factory=dict)
    rounds: "list[dict]" = field(default_factory=list)
    # Per round and variant, in milliseconds.
    latencies: "list[dict[str, dict[str, float]]]" = field(default_factory=list)
    calls: "dict[str, dict[str, float]]" = field(default_factory=dict)


def summary(found: Found) -> "dict[str, dict]":
    """Per variant: cost per request and ratio to `bare` within the round, each as median, min and max."""
    said = {}
    for name in found.instructions or found.rounds[0]:
        said[name] = one = {}
        timed = [each for each in found.rounds if name in each]
        if timed:
            one["cpu_ratio"] = spread(ratios(timed, name, "cpu_us", 1))
            one["cpu_us"] = spread(each[name]["cpu_us"][0] for each in timed)
            one["requests_per_second"] = spread(each[name]["requests_per_second"] for each in timed)
        if timed and len(timed[0][name]["cpu_us"]) > 1:
            one["cpu_ratio_with_server"] = spread(ratios(timed, name, "cpu_us", 2))
        counted = [{name: {"instructions": it} for name, it in found.instructions.items()}]
        counted = {"perf": timed, "valgrind": counted, None: []}[found.counter]
        if counted:
            one["instructions"] = spread(each[name]["instructions"][0] for each in counted)
            one["instruction_ratio"] = spread(ratios(counted, name, "instructions", 1))
        if counted and len(counted[0][name]["instructions"]) > 1:
            one["instruction_ratio_with_server"] = spread(ratios(counted, name, "instructions", 2))
        one["ratio"] = one.get("instruction_ratio") or one["cpu_ratio"]
    return said


def ratios(rounds: "list[dict]", name: str, unit: str, processes: int) -> "list[float]":
    return [sum(each[name][unit][:processes]) / each["bare"][unit][0] for each in rounds]


def spread(values) -> dict:
    values = list(values)
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


COLUMNS = {
    "instructions": ("instruction_ratio", 3),
    "and its server": ("instruction_ratio_with_server", 3),
    "CPU time": ("cpu_ratio", 2),
    "and its server ": ("cpu_ratio_with_server", 2),
    "CPU µs": ("cpu_us", 1),
    "requests/s": ("requests_per_second", 0),
}


def table(found: Found) -> str:
    said = summary(found)
    columns = {title: key for title, key in COLUMNS.items() if any(key[0] in one for one in said.values())}
    late = found.latencies[0] if found.latencies else {}
    titles = [*columns, *(["added p50 µs", "added p99 µs"] if late else [])]
    rows = {}
    for name, one in said.items():
        rows[name] = [shown(one.get(key), digits) for key, digits in columns.values()]
        rows[name] += [shown(added_us(found, name, which) if name in late else None, 0) for which in PERCENTILES if late]
    return markdown("variant", titles, rows)


PERCENTILES = ("p50", "p99")


def added_us(found: Found, name: str, which: str) -> dict:
    """What is later than without a filter within the same round: the median, and between what half of the rounds lie."""
    differences = [(one[name][which] - one["bare"][which]) * 1000 for one in found.latencies]
    low, median, high = statistics.quantiles(differences, n=4)
    return {"median": median, "min": low, "max": high}


def calls_table(calls: "dict[str, dict[str, float]]") -> str:
    kinds = list(dict.fromkeys(kind for counts in calls.values() for kind in counts))
    rows = {kind: [f"{counts.get(kind, 0):g}" for counts in calls.values()] for kind in kinds}
    rows["together"] = [f"{sum(counts.values()):g}" for counts in calls.values()]
    return markdown("per request", list(calls), rows)


# What was aimed at, in instructions and in CPU time; and what makes the same calls.
TARGETS = {
    "tollkeeper_key": (1.55, 1.30, "calls_key"),
    "tollkeeper_key_no_headers": (1.25, 1.12, "calls_key_no_headers"),
    "tollkeeper_jwt": (1.55, None, None),
    "tollkeeper_jwt_first_use": (1.65, None, None),
    "tollkeeper_refused": (0.70, 0.70, "calls_refused"),
}


def targets_table(found: Found) -> str:
    said = summary(found)

    def cells(name: "str | None", key: str, digits: int) -> str:
        return f"{said[name][key]['median']:.{digits}f}" if key in said.get(name, {}) else ""

    rows = {}
    for name, (instructions, cpu, calls) in TARGETS.items():
        counted = [str(instructions), cells(name, "instruction_ratio", 3), cells(calls, "instruction_ratio", 3)]
        rows[f"`{name}`"] = [*counted, str(cpu or ""), cells(name, "cpu_ratio", 2), cells(calls, "cpu_ratio", 2)]
    measured = ["measured", "without code"]
    return markdown("", ["instructions, at most", *measured, "CPU time, at most", *measured], rows)


def against_a_call(found: Found) -> str:
    """What the filter adds, as a share of what a call over HTTP with the same headers adds, its server counted."""
    said = summary(found)
    ours, theirs = said["tollkeeper_key"], said["ext_authz"]
    added = "instruction_ratio" if "instruction_ratio" in ours else "cpu_ratio"
    cost = (ours[added]["median"] - 1) / (theirs[f"{added}_with_server"]["median"] - 1)
    late = added_us(found, "tollkeeper_key", "p50")["median"] / added_us(found, "ext_authz", "p50")["median"]
    unit = "instructions" if added == "instruction_ratio" else "CPU time"
    return f"{cost:.2f} of the {unit} and {late:.2f} of the latency (p50)"


def markdown(first: str, titles: "list[str]", rows: "dict[str, list[str]]") -> str:
    lines = [" | ".join([first, *titles]), "---|" * len([first, *titles])]
    lines += [" | ".join([name, *cells]) for name, cells in rows.items()]
    return "\n".join(f"| {line} |" if not line.startswith("---") else f"|{line}" for line in lines)


def shown(values: "dict | None", digits: int) -> str:
    if values is None:
        return ""
    if values["min"] == values["max"]:
        return f"**{values['median']:.{digits}f}**"
    return f"**{values['median']:.{digits}f}** ({values['min']:.{digits}f} to {values['max']:.{digits}f})"


def write(arguments: argparse.Namespace, found: Found) -> None:
    counters = {"perf": "the processor's counter", "valgrind": "valgrind", None: "nothing on this machine"}
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "envoy": first_line(arguments.envoy, "--version").partition("version: ")[2].split("/")[1],
        "load_generator": first_line(arguments.oha, "--version"),
        "counter": counters[found.counter],
        "rounds": len(found.rounds),
        "requests_per_round": arguments.requests,
        "latency_rate": arguments.rate,
        "latency_rounds": len(found.latencies),
    }
    said = summary(found)
    everything = {"about": about, "summary": said, **asdict(found)}
    (arguments.results / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
    (arguments.results / "results.svg").write_text(chart.drawn(said))
    template = Path(__file__).with_name("RESULTS.template.md").read_text()
    aims = {"targets": targets_table(found), "against": against_a_call(found)}
    text = template.format(table=table(found), calls=calls_table(found.calls), **aims, **about)
    (arguments.results / "RESULTS.md").write_text(text)


def first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
