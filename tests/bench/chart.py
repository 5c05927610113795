# SPDX-License-Identifier: Apache-2.0
"""The chart: one panel a metric, one group of bars a case, one bar a contestant with its spread. Plain SVG, no library."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

from cases import CONTESTANTS, TITLES

COLOURS = {"floor": "#b8bcc4", "slots": "#1f6feb", "few": "#5b8fd6", "plain": "#2da44e", "empty": "#8ab8f5", "normal": "#e07b39", "ct": "#8c3b1a"}
BAR, GAP, GROUP_GAP, LEFT, RIGHT, HEIGHT, TOP, BOTTOM = 26, 4, 34, 76, 24, 230, 92, 46
WIDTH_MIN = 760


@dataclass(frozen=True)
class Bar:
    """One figure; `spread` None: it failed."""

    contestant: str
    spread: object


def panels(report):
    """[(metric, [(result, [Bar])])]: cases with one metric share a panel, in the order of the cases."""
    by_metric = {}
    for result in report.results:
        bars = [Bar(name, report.spread_of(result, name)) for name in CONTESTANTS
                if name in result.failures or any(run.contestant == name for run in result.runs)]
        by_metric.setdefault(result.case.metric, []).append((result, bars))
    return list(by_metric.items())


def ticks(highest, count=5):
    """Round numbers from 0 to at least `highest`."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / count
    power = 10.0 ** len(str(int(rough))) / 10 if rough >= 1 else 0.1
    while power > rough:
        power /= 10
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [step * i for i in range(int(highest / step - 1e-9) + 2)]


def label(value, digits=0):
    """A figure short enough for the top of a bar."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:.2f} M"
    return f"{value / 1000:.0f} k" if value >= 10_000 else f"{value:,.{digits}f}"


def text(x, y, words, size=12, anchor="middle", colour="#24292f", weight="normal", rotated=False):
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if rotated else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
            f'font-weight="{weight}"{turn}>{escape(words)}</text>')


def line(x1, y1, x2, y2, colour, width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def group_width(bars):
    return max(1, len(bars)) * (BAR + GAP) - GAP


def draw(report):
    """The whole chart as text."""
    rows = panels(report)
    width = max([WIDTH_MIN] + [LEFT + RIGHT + sum(group_width(bars) + GROUP_GAP for _, bars in groups) for _, groups in rows])
    height = TOP + len(rows) * (HEIGHT + 2 * BOTTOM) + 20
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
             f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica, Arial, sans-serif">',
             f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
             text(LEFT, 28, "Sluice beside Open vSwitch with DPDK, one worker on one core", 18, "start", weight="bold"),
             text(LEFT, 48, "medians of rounds in turns; whiskers: smallest and largest run", 12, "start", "#57606a"),
             legend(rows)]
    for index, (metric, groups) in enumerate(rows):
        parts += panel(metric, groups, TOP + index * (HEIGHT + 2 * BOTTOM) + BOTTOM / 2, width)
    return "\n".join(parts + ["</svg>", ""])


def legend(rows):
    """Names and colours of those that took part."""
    seen = {bar.contestant for _, groups in rows for _, bars in groups for bar in bars}
    parts, x = [], float(LEFT)
    for name in CONTESTANTS:
        if name in seen:
            parts.append(f'<rect x="{x:.1f}" y="60" width="12" height="12" fill="{COLOURS[name]}"/>')
            parts.append(text(x + 17, 70, TITLES[name], 12, "start"))
            x += 36 + 6.6 * len(TITLES[name])
    return "\n".join(parts)


def panel(metric, groups, top, width):
    """Axis and groups of one metric."""
    high = max((bar.spread.high for _, bars in groups for bar in bars if bar.spread), default=1.0)
    marks = ticks(high)
    scale = HEIGHT / marks[-1]
    better = "higher is better" if metric.higher_is_better else "lower is better"
    parts = [text(LEFT - 56, top + HEIGHT / 2, f"{metric.unit} ({better})", 12, colour="#57606a", rotated=True)]
    for mark in marks:
        y = top + HEIGHT - mark * scale
        parts += [line(LEFT, y, width - RIGHT, y, "#d8dee4"),
                  text(LEFT - 8, y + 4, label(mark, 0 if marks[-1] >= 10 else 1), 11, "end", "#57606a")]
    x = LEFT + GROUP_GAP / 2
    for result, bars in groups:
        for i, bar in enumerate(bars):
            parts += draw_bar(bar, x + i * (BAR + GAP), top + HEIGHT, scale, metric.digits)
        parts.append(text(x + group_width(bars) / 2, top + HEIGHT + 18, result.case.name, 12, weight="bold"))
        x += group_width(bars) + GROUP_GAP
    return parts + [line(LEFT, top + HEIGHT, width - RIGHT, top + HEIGHT, "#57606a")]


def draw_bar(bar, x, bottom, scale, digits):
    """A bar with its whisker and its figure; the word "failed" where there is none."""
    middle = x + BAR / 2
    if bar.spread is None:
        return [text(middle + 4, bottom - 6, "failed", 11, "start", "#cf222e", rotated=True)]
    height = bar.spread.median * scale
    low, high = bottom - bar.spread.low * scale, bottom - bar.spread.high * scale
    return [f'<rect x="{x:.1f}" y="{bottom - height:.1f}" width="{BAR}" height="{height:.1f}" fill="{COLOURS[bar.contestant]}">'
            f'<title>{escape(TITLES[bar.contestant])}: {label(bar.spread.median, digits)}</title></rect>',
            line(middle, low, middle, high, "#24292f", 1.2), line(middle - 4, low, middle + 4, low, "#24292f", 1.2),
            line(middle - 4, high, middle + 4, high, "#24292f", 1.2),
            text(middle, min(high, bottom - height) - 5, label(bar.spread.median, digits), 10)]
