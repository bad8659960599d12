"""Draws what a fleet admitted over time: comma-separated values, as a test writes them, become an SVG."""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 880, 480
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 56, 56
# Readable on white and on black.
GREY, ALL = "#7d8590", "#2f81f7"
NODES = ["#e08a00", "#2ea043", "#a371f7"]
LIMIT = 'stroke="#d1495b" stroke-width="1.5" stroke-dasharray="6 4"'


@dataclass(frozen=True)
class Data:
    """The columns of the file, and what stands above them."""

    facts: "dict[str, float]"
    names: "list[str]"
    rows: "list[list[float]]"

    def limit(self, seconds: float) -> float:
        """The most that may have been admitted by then."""
        return self.facts["limit"] * (1 + seconds / self.facts["window_seconds"])

    def end(self) -> float:
        return self.rows[-1][0]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path, help="the comma-separated values")
    arguments.add_argument("figure", type=Path, help="the SVG to write")
    paths = arguments.parse_args()
    paths.figure.write_text(figure(read(paths.data)))


def read(path: Path) -> Data:
    lines = path.read_text().splitlines()
    facts = dict(line.removeprefix("# ").split(",") for line in lines if line.startswith("#"))
    header, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    return Data(
        facts={name: float(value) for name, value in facts.items()},
        names=header[1:],
        rows=[[float(value) for value in row] for row in rows],
    )


class Scale:
    """Where on the page a time and a count are."""

    def __init__(self, data: Data):
        self.seconds = data.end()
        self.count = data.limit(data.end())

    def x(self, seconds: float) -> float:
        return LEFT + seconds / self.seconds * (WIDTH - LEFT - RIGHT)

    def y(self, count: float) -> float:
        return HEIGHT - BOTTOM - count / self.count * (HEIGHT - TOP - BOTTOM)


def figure(data: Data) -> str:
    scale = Scale(data)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{GREY}">',
        f"<title>{escape(title(data))}</title>",
        outage(data, scale),
        *axes(scale),
        *lines(data, scale),
        *legend(data),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def title(data: Data) -> str:
    limit, window = data.facts["limit"], data.facts["window_seconds"]
    return f"Requests admitted by {len(data.names) - 1} nodes against a limit of {limit:g} per {window:g} s"


def outage(data: Data, scale: Scale) -> str:
    left, right = scale.x(data.facts["killed"]), scale.x(data.facts["back"])
    return (
        f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}" '
        f'fill="{GREY}" fill-opacity="0.18"/>'
        + text((left + right) / 2, TOP + 18, "Valkey is dead", "middle")
    )


def axes(scale: Scale) -> "list[str]":
    bottom = HEIGHT - BOTTOM
    parts = [f'<path d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="{GREY}"/>']
    for seconds in range(0, int(scale.seconds) + 1, step(scale.seconds)):
        parts.append(text(scale.x(seconds), bottom + 20, str(seconds), "middle"))
    for count in range(0, int(scale.count) + 1, step(scale.count)):
        y = scale.y(count)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-opacity="0.2"/>')
        parts.append(text(LEFT - 8, y + 4, str(count), "end"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "seconds since the first request", "middle"))
    middle = (TOP + bottom) / 2
    parts.append(f'<g transform="rotate(-90 16 {middle})">{text(16, middle, "requests admitted so far", "middle")}</g>')
    return parts


def step(most: float) -> int:
    """A round number of which some five to ten make `most`."""
    return next(size for power in (1, 10, 100, 1000, 10_000) for size in (power, 2 * power, 5 * power) if most / size <= 10)


def lines(data: Data, scale: Scale) -> "list[str]":
    ends = [(0.0, data.limit(0)), (data.end(), data.limit(data.end()))]
    parts = []
    for index, name in enumerate(data.names, start=1):
        points = [(row[0], row[index]) for row in data.rows]
        parts.append(line(points, scale, look(name, index)))
    return [*parts, line(ends, scale, LIMIT)]


def look(name: str, index: int) -> str:
    return f'stroke="{ALL}" stroke-width="2.5"' if name == "all" else f'stroke="{NODES[index - 1]}" stroke-width="1.5"'


def line(points: "list[tuple[float, float]]", scale: Scale, style: str) -> str:
    places = " ".join(f"{scale.x(seconds):.1f},{scale.y(count):.1f}" for seconds, count in points)
    return f'<polyline points="{places}" fill="none" stroke-linejoin="round" {style}/>'


def legend(data: Data) -> "list[str]":
    limit, window = data.facts["limit"], data.facts["window_seconds"]
    entries = [(f"exact limit: {limit:g} + {limit:g} t / {window:g} s", LIMIT)]
    entries += [("all nodes", look("all", 0))]
    entries += [(name, look(name, index)) for index, name in enumerate(data.names, start=1) if name != "all"]
    parts, x = [], LEFT
    for label, style in entries:
        parts.append(f'<path d="M{x} 28h24" {style}/>')
        parts.append(text(x + 32, 32, label, "start"))
        x += 60 + 7 * len(label)
    return parts


def text(x: float, y: float, content: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


if __name__ == "__main__":
    main()
