"""What was measured, for people and for programs."""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
from pathlib import Path


def summary(rounds: "list[dict]", counted: bool) -> dict:
    """Per variant: cost per request and ratio to `bare` within the round, each as median, min and max."""
    unit = "instructions" if counted else "cpu_us"
    said = {}
    for name in rounds[0]:
        said[name] = {
            "ratio": spread(each[name][unit][0] / each["bare"][unit][0] for each in rounds),
            "cpu_ratio": spread(each[name]["cpu_us"][0] / each["bare"]["cpu_us"][0] for each in rounds),
            "cpu_us": spread(each[name]["cpu_us"][0] for each in rounds),
            "requests_per_second": spread(each[name]["requests_per_second"] for each in rounds),
        }
        if counted:
            said[name]["instructions"] = spread(each[name]["instructions"][0] for each in rounds)
        if len(rounds[0][name][unit]) > 1:
            said[name]["ratio_with_server"] = spread(sum(each[name][unit]) / each["bare"][unit][0] for each in rounds)
    return said


def spread(values) -> dict:
    values = list(values)
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def table(said: dict, latencies: dict, counted: bool) -> str:
    columns = {"instructions": ("ratio", 3)} if counted else {}
    columns |= {"CPU time": ("cpu_ratio", 3), "with its server": ("ratio_with_server", 3), "CPU µs": ("cpu_us", 1)}
    columns |= {"requests/s": ("requests_per_second", 0)}
    titles = ["variant", *columns, *(["p50 ms", "p99 ms"] if latencies else [])]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for name, one in said.items():
        cells = [name, *(shown(one.get(key), digits) for key, digits in columns.values())]
        cells += [f"{latencies[name][which]:.2f}" for which in ("p50", "p99")] if latencies else []
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(values: "dict | None", digits: int) -> str:
    if values is None:
        return ""
    return f"**{values['median']:.{digits}f}** ({values['min']:.{digits}f} to {values['max']:.{digits}f})"


def write(arguments: argparse.Namespace, said: dict, rounds: "list[dict]", latencies: dict, counted: bool) -> None:
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "envoy": first_line(arguments.envoy, "--version").partition("version: ")[2].split("/")[1],
        "load_generator": first_line(arguments.oha, "--version"),
        "rounds": len(rounds),
        "requests_per_round": arguments.requests,
        "latency_rate": arguments.rate,
    }
    everything = {"about": about, "summary": said, "latencies_ms": latencies, "rounds": rounds}
    (arguments.results / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
    template = Path(__file__).with_name("RESULTS.template.md").read_text()
    text = template.format(table=table(said, latencies, counted), **about)
    (arguments.results / "RESULTS.md").write_text(text)


def first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
