"""Charts as inline SVG: numbers in, a string of SVG out, the same bytes for the same numbers.

    line_chart("loss", [Line("OTR", "s2", [1, 2, 3], [0.02, 0.01, 0.01])])  →  '<svg viewBox="0 0 360 190" ...'

Drawn here rather than by matplotlib because the page's style sheet colours them (light and dark, by the class of a
series) and because one is 2 KB. Coordinates are pixels of a 360 pixel wide picture, the width of a phone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH = 360
POINTS = 90
"""Longer lines are drawn as means of equally many steps."""


@dataclass(frozen=True)
class Line:
    label: str
    style: str
    """CSS class that gives the colour."""
    x: Sequence[float]
    y: Sequence[float]
    is_thin: bool = False
    """One of several trainings, behind their mean."""


@dataclass(frozen=True)
class Dot:
    label: str
    style: str
    value: float
    interval: tuple[float, float] | None
    """Drawn as a whisker."""


@dataclass(frozen=True)
class Scale:
    """Numbers low to high onto pixels start to end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten apart) that enclose low and high."""
    if high <= low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def number(value: float) -> str:
    """Four digits at most, as on an axis: 0.0003 is 3e-4."""
    text = f"{value:.4g}"
    if "e" not in text and value and abs(value) < 0.001:
        text = f"{value:.3e}".replace(".000", "")
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def thinned(x: Sequence[float], y: Sequence[float], points: int = POINTS) -> tuple[list[float], list[float]]:
    """At most `points` points: means of neighbours, as equally many each as the length allows."""
    size = math.ceil(len(x) / points)
    chunks = range(0, len(x), max(1, size))

    def means(values: Sequence[float]) -> list[float]:
        return [math.fsum(values[i : i + size]) / len(values[i : i + size]) for i in chunks]

    return means(x), means(y)


def line_chart(title: str, lines: Sequence[Line], height: int = 190) -> str:
    """One panel with a line a run; '' when there is nothing finite to draw."""
    drawn = [_finite(line) for line in lines]
    drawn = [line for line in drawn if line.x]
    if not drawn:
        return ""
    rows = ticks(min(min(line.y) for line in drawn), max(max(line.y) for line in drawn))
    across = ticks(0, max(max(line.x) for line in drawn))
    bottom = height - 24
    horizontal = Scale(0, max(max(line.x) for line in drawn), 44, WIDTH - 10)
    vertical = Scale(rows[0], rows[-1], bottom, 12)
    parts = [_rule(44, WIDTH - 10, vertical(value), number(value)) for value in rows]
    parts += [
        _text(horizontal(value), bottom + 16, number(value), "middle") for value in across if value <= horizontal.high
    ]
    for line in sorted(drawn, key=lambda line: not line.is_thin):
        x, y = thinned(line.x, line.y)
        places = " ".join(f"{horizontal(a):.1f},{vertical(b):.1f}" for a, b in zip(x, y, strict=True))
        style = f"{line.style} thin" if line.is_thin else line.style
        parts.append(f'<polyline class="line {style}" points="{places}"><title>{escape(line.label)}</title></polyline>')
    return _svg(title, height, parts)


def _finite(line: Line) -> Line:
    kept = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
    return Line(line.label, line.style, [x for x, _ in kept], [y for _, y in kept], line.is_thin)


def dot_plot(title: str, rows: Sequence[tuple[str, Sequence[Dot]]], around_zero: bool = False) -> str:
    """A row of dots with whiskers for every benchmark: percentages from 0 on, or differences to either side of it."""
    dots = [dot for _, row in rows for dot in row]
    if not dots:
        return ""
    ends = [end for dot in dots for end in (dot.value, *(dot.interval or ()))]
    low, high = (min(0, *ends), max(0, *ends)) if around_zero else (0, min(100, max(ends)))
    across = [value for value in ticks(low, max(high, low + 1e-9)) if abs(value) <= 100]
    left = 14 + 7 * min(16, max(len(label) for label, _ in rows))
    gap, pitch, top = 9, 11, 8
    height = top + sum(gap + pitch * max(1, len(row)) for _, row in rows) + 24
    scale = Scale(min(across[0], low), max(across[-1], high), left, WIDTH - 14)
    bottom = height - 24
    parts = [
        f'<path class="{"zero" if around_zero and abs(v) < 1e-9 else "grid"}" d="M{scale(v):.1f} {top}V{bottom}"/>'
        + _text(scale(v), bottom + 16, f"{v:+.4g}" if around_zero and abs(v) > 1e-9 else number(v), "middle")
        for v in across
    ]
    y = float(top)
    for label, row in rows:
        block = gap + pitch * max(1, len(row))
        shown = label if len(label) <= 16 else f"{label[:15]}…"
        parts.append(_text(left - 8, y + block / 2 + 4, shown, "end", "name"))
        sign = "+" if around_zero else ""
        parts += [_dot(dot, label, scale, y + gap / 2 + pitch * (i + 0.5), sign) for i, dot in enumerate(row)]
        y += block
        parts.append(f'<path class="grid" d="M4 {y:.1f}H{WIDTH - 14}"/>')
    return _svg(title, height, parts)


def _dot(dot: Dot, row: str, scale: Scale, y: float, sign: str = "") -> str:
    whisker, spread = "", ""
    if dot.interval is not None:
        low, high = (min(max(end, scale.low), scale.high) for end in dot.interval)
        whisker = f'<path d="M{scale(low):.1f} {y:.1f}H{scale(high):.1f}"/>'
        spread = f", {dot.interval[0]:{sign}.2f} to {dot.interval[1]:{sign}.2f}"
    note = escape(f"{dot.label}, {row}: {dot.value:{sign}.2f}{spread}")
    return (
        f'<g class="dot {dot.style}"><title>{note}</title>{whisker}'
        f'<circle cx="{scale(dot.value):.1f}" cy="{y:.1f}" r="4"/></g>'
    )


def difference_bar(dot: Dot, limit: float) -> str:
    """One difference with its interval on a line from -limit to limit, the same for all that stand below each other."""
    scale = Scale(-limit, limit, 14, WIDTH - 14)
    lines = [f'<path class="{style}" d="M{scale(v):.1f} 2V26"/>' for v, style in _marks(limit)]
    return _svg(f"{dot.label}: {dot.value:+.2f}", 26, [*lines, _dot(dot, "difference in points", scale, 14, "+")])


def difference_axis(limit: float) -> str:
    """The numbers of such lines."""
    scale = Scale(-limit, limit, 14, WIDTH - 14)
    texts = [_text(scale(v), 14, f"{v:+.4g}" if style == "grid" else "0", "middle") for v, style in _marks(limit)]
    return _svg("difference in points", 20, texts)


def _marks(limit: float) -> list[tuple[float, str]]:
    """Round numbers between -limit and limit, with the class of their lines."""
    return [(v, "zero" if abs(v) < 1e-9 else "grid") for v in ticks(-limit, limit, 4) if abs(v) <= limit]


def histogram(
    title: str, edges: Sequence[float], counts: Sequence[int], source: Sequence[int] = (), height: int = 190
) -> str:
    """Bars between given edges: the share of examples in each, and as an outline the share of `source` (of what they
    were chosen from). '' without a count."""
    if not counts or edges[-1] <= edges[0]:
        return ""
    bars, outline = ([100 * count / max(1, sum(row)) for count in row] for row in (counts, source))
    rows = ticks(0, max(*bars, *outline, 1e-9))
    bottom = height - 24
    horizontal = Scale(edges[0], edges[-1], 44, WIDTH - 10)
    vertical = Scale(0, rows[-1], bottom, 12)
    parts = [_rule(44, WIDTH - 10, vertical(value), f"{number(value)} %") for value in rows]
    for (start, end), count, share in zip(pairwise(edges), counts, bars, strict=True):
        x, y = horizontal(start), vertical(share)
        parts.append(
            f'<rect class="bar" x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(0.5, horizontal(end) - x - 1):.1f}"'
            f' height="{bottom - y:.1f}"><title>{number(start)} to {number(end)}: {count}</title></rect>'
        )
    if outline:
        steps = "".join(
            f"H{horizontal(start):.1f}V{vertical(share):.1f}H{horizontal(end):.1f}"
            for (start, end), share in zip(pairwise(edges), outline, strict=True)
        )
        parts.append(f'<path class="outline" d="M{horizontal(edges[0]):.1f} {bottom}{steps}V{bottom}"/>')
    stride = math.ceil(len(edges) / 7)
    parts += [_text(horizontal(edge), bottom + 16, number(edge), "middle") for edge in edges[::stride]]
    return _svg(title, height, parts)


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
    return f"{head}{''.join(parts)}</svg>"


def _rule(start: float, end: float, y: float, label: str) -> str:
    return f'<path class="grid" d="M{start} {y:.1f}H{end}"/>{_text(start - 6, y + 4, label, "end")}'


def _text(x: float, y: float, text: str, anchor: str, style: str = "tick") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
