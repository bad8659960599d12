"""Draws what a request costs, as bars beside each other: an SVG."""

from xml.sax.saxutils import escape

WIDTH, ROW, LEFT, RIGHT, TOP = 880, 30, 230, 70, 56
# Readable on white and on black.
GREY, OURS, OTHERS, SERVER = "#7d8590", "#2f81f7", "#e08a00", "#f2cc8f"


def drawn(summary: "dict[str, dict]") -> str:
    unit = "instruction_ratio" if "instruction_ratio" in summary["bare"] else "cpu_ratio"
    longest = max(median(one, f"{unit}_with_server") or median(one, unit) for one in summary.values())
    scale = (WIDTH - LEFT - RIGHT) / longest
    rows = [row(number, name, one, unit, scale) for number, (name, one) in enumerate(summary.items())]
    height, what = TOP + ROW * len(summary) + 16, "instructions" if unit.startswith("instruction") else "CPU time"
    title = f"What a request costs Envoy, in {what}, without a filter = 1; behind it, the server that is asked"
    x = f"{LEFT + scale:.1f}"
    line = f'<line x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{height - 12}" stroke="{GREY}" stroke-dasharray="4 4"/>'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"',
        ' font-size="14">',
        f'<text x="16" y="28" fill="{GREY}" font-size="16">{escape(title)}</text>', *rows, line, "</svg>\n",
    ])


def row(number: int, name: str, one: dict, unit: str, scale: float) -> str:
    top, mine, all_of_it = TOP + ROW * number, median(one, unit), median(one, f"{unit}_with_server")
    colour = OURS if name.startswith("tollkeeper") else OTHERS
    bars = [bar(top, all_of_it * scale, SERVER)] if all_of_it else []
    bars.append(bar(top, mine * scale, colour))
    told = f"{mine:.2f}" + (f" + {all_of_it - mine:.2f}" if all_of_it else "")
    end = LEFT + (all_of_it or mine) * scale + 8
    return "\n".join([
        f'<text x="{LEFT - 10}" y="{top + 16}" text-anchor="end" fill="{GREY}">{escape(name)}</text>', *bars,
        f'<text x="{end:.1f}" y="{top + 16}" fill="{GREY}">{told}</text>',
    ])


def bar(top: int, length: float, colour: str) -> str:
    return f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{ROW - 8}" fill="{colour}"/>'


def median(one: dict, key: str) -> float:
    return one[key]["median"] if key in one else 0
