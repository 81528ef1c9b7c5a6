"""Drawings of the report, as SVG made here: values in, a picture out, which carries the same as a sentence and as a table.

All are as wide as a phone and grow with the page. Colours are classes that the style sheet fills in, in light, in dark and on
paper; what a colour says, a texture or a number says too. Numbers of a drawing are positions in its own frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH = 360
"""The width of every drawing, in its own units: those of a phone's pixels."""
_LEFT, _RIGHT = 40, WIDTH - 10
_MOST_LETTERS = 52
_TICKS = (1, 2, 5, 7, 14, 30, 60, 90, 180, 365, 730)
TEXTURES = ("closed_in_time", "open_in_time", "open_late", "closed_late")
"""What a part may be: solid, outlined, hatched and striped."""


class Cell(NamedTuple):
    """A cell of the table beside a drawing, with where it leads."""

    text: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing, the one sentence that says what one sees, and the same as a table."""

    svg: Markup
    said: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Bar(NamedTuple):
    """One line of `bars`: what it is of, its parts as (texture, length), and what is written at its end."""

    label: str
    parts: Sequence[tuple[str, float]]
    shown: str


class Line(NamedTuple):
    """One line of `curves`: its name, and steps as (days, share, low, high); the second one is dashed."""

    label: str
    steps: Sequence[tuple[float, float, float, float]]


def bars(key: str, lines: Sequence[Bar], said: str, *, legend: Sequence[tuple[str, str]] = ()) -> Markup:
    """Horizontal bars of one scale, one under the other. `key` makes the names inside unique in a page."""
    most = max((sum(length for _, length in line.parts) for line in lines), default=0) or 1
    drawn, y = [], 14
    for line in lines:
        drawn.append(_text(0, y, _short(line.label, _MOST_LETTERS - len(line.shown)), "name"))
        drawn.append(_text(WIDTH, y, line.shown, "value", anchor="end"))
        drawn.append(_box(0, y + 5, WIDTH, 14, "track"))
        x = 0.0
        for texture, length in line.parts:
            wide = WIDTH * length / most
            if wide > 0:
                drawn.append(_part(key, x, y + 5, wide, 14, texture))
                x += wide
        y += 38
    for place, (texture, label) in enumerate(legend):
        x, at = (0, WIDTH / 2)[place % 2], y + 18 * (place // 2)
        drawn += [_part(key, x, at - 10, 14, 12, texture), _text(x + 20, at, label, "note")]
    y += 18 * ((len(legend) + 1) // 2)
    return _svg(y - 6, said, [_textures(key), *drawn])


def histogram(
    key: str, bins: Sequence[tuple[str, int, int]], said: str, *, legend: tuple[str, str], unit: str
) -> Markup:
    """Columns of (label, how many are over, how many still wait): what waits stands on what is over, hatched."""
    high, floor = 120, 140
    most = max((over + waiting for _, over, waiting in bins), default=0) or 1
    step = (_RIGHT - _LEFT) / max(len(bins), 1)
    drawn = [_axis(_LEFT, floor, _RIGHT, floor), _text(_LEFT - 6, 24, str(most), "note", anchor="end"),
             _text(_LEFT - 6, floor, "0", "note", anchor="end")]  # fmt: skip
    for place, (label, over, waiting) in enumerate(bins):
        x, y = _LEFT + place * step + 1, float(floor)
        for texture, number in (("closed_in_time", over), ("open_late", waiting)):
            tall = high * number / most
            if number:
                y -= tall
                drawn.append(_part(key, x, y, step - 2, tall, texture))
        drawn.append(_text(x + step / 2 - 1, floor + 14, label, "note", anchor="middle"))
    drawn.append(_text(_RIGHT, floor + 30, unit, "note", anchor="end"))
    for place, texture in enumerate(("closed_in_time", "open_late")):
        x = place * WIDTH / 2
        drawn += [_part(key, x, floor + 40, 14, 12, texture), _text(x + 20, floor + 50, legend[place], "note")]
    return _svg(floor + 58, said, [_textures(key), *drawn])


def curves(lines: Sequence[Line], said: str, *, unit: str, until: float) -> Markup:
    """Shares still waiting by day, from 1 down: the first line with the band of its interval. `until`: the last day shown."""
    top, floor, last = 14, 160, until or 1.0

    def x(days: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * min(days, last) / last

    def y(share: float) -> float:
        return floor - (floor - top) * share

    drawn = []
    for share, label in ((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")):
        drawn += [_axis(_LEFT, y(share), _RIGHT, y(share)), _text(_LEFT - 6, y(share) + 4, label, "note", anchor="end")]
    for place, line in enumerate(lines):
        if place == 0 and line.steps:
            drawn.append(_band(line.steps, x, y, last))
        path = f"M{x(0):.1f} {y(1):.1f}"
        for days, share, _, _ in line.steps:
            if days <= last:
                path += f"H{x(days):.1f}V{y(share):.1f}"
        dashed = Markup(' stroke-dasharray="5 3"') if place else ""
        drawn.append(Markup('<path class="curve" fill="none" d="{}"{}/>').format(f"{path}H{x(last):.1f}", dashed))
    step = next((days for days in _TICKS if last <= 5 * days), int(last))
    for day in range(0, int(last) + 1, step):
        drawn.append(_text(x(day), floor + 15, str(day), "note", anchor="middle"))
    drawn.append(_text(_RIGHT, floor + 29, unit, "note", anchor="end"))
    for place, line in enumerate(lines):
        at, dashed = place * WIDTH / 2, Markup(' stroke-dasharray="5 3"') if place else ""
        drawn.append(
            Markup('<path class="curve" fill="none" d="M{} {}h22"{}/>').format(f"{at:.0f}", floor + 44, dashed)
        )
        drawn.append(_text(at + 28, floor + 48, line.label, "note"))
    return _svg(floor + 56, said, drawn)


def heat(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float | str | None]]], said: str) -> Markup:
    """A grid of shares: the darker, the more; each is written in its cell, in percent. Words stand as they are, without a
    colour, and what is not known is a stroke.
    """
    name, tall, top = 58, 24, 30
    wide = (WIDTH - name) / max(len(columns), 1)
    drawn = []
    for place, column in enumerate(columns):
        year, _, month = column.partition("-")
        x = name + (place + 0.5) * wide
        if place == 0 or month == "01":
            drawn.append(_text(x, 11, year, "small", anchor="middle"))
        drawn.append(_text(x, 24, month, "small", anchor="middle"))
    for at, (label, values) in enumerate(rows):
        y = top + at * tall
        drawn.append(_text(0, y + 16, _short(label, 9), "note"))
        for place, value in enumerate(values):
            x = name + place * wide
            if value is None or isinstance(value, str):
                drawn.append(_text(x + wide / 2, y + 16, value or "–", "small", anchor="middle"))
                continue
            drawn.append(_box(x + 1, y + 1, wide - 2, tall - 2, f"heat h{min(int(value * 5), 4)}"))
            drawn.append(_text(x + wide / 2, y + 16, f"{100 * value:.0f}", "small", anchor="middle"))
    return _svg(top + tall * len(rows) + 4, said, drawn)


class Stop(NamedTuple):
    """A rung of `flow`: its name, and what is written beside it of those that went no further."""

    label: str
    note: str


def flow(stops: Sequence[Stop], moves: Sequence[tuple[int, int, int]], said: str) -> Markup:
    """Rungs one under the other, and on their right how many went from one (its place) to another: the thicker, the more."""
    tall, step, wide = 40, 56, 210
    most = max((number for _, _, number in moves), default=0) or 1
    drawn = []
    for place, stop in enumerate(stops):
        y = place * step + 2
        drawn += [_box(0, y, wide, tall, "stop"), _text(8, y + 17, _short(stop.label, 30), "name"),
                  _text(8, y + 33, _short(stop.note, 36), "note")]  # fmt: skip
    for one, other, number in moves:
        begin, end = one * step + tall / 2 + 7, other * step + tall / 2 - 7
        out = wide + 26 + 26 * min(abs(other - one), 4)
        thick = f"{1.5 + 8 * number / most:.1f}"
        drawn.append(Markup('<path class="move" fill="none" stroke-width="{}" d="M{} {:.0f}C{} {:.0f} {} {:.0f} {} {:.0f}"/>').format(
            thick, wide + 2, begin, out, begin, out, end, wide + 12, end))  # fmt: skip
        tip = f"M{wide + 2} {end:.0f}l10 -6v12z"
        drawn.append(Markup('<path class="tip" d="{}"/>').format(tip))
        drawn.append(_text(wide + 12 + 0.75 * (out - wide - 12) + 6, (begin + end) / 2 + 4, str(number), "value"))
    return _svg(max(len(stops), 1) * step, said, drawn)


# --- strokes ----------------------------------------------------------------------------------------------------------


def _svg(height: float, said: str, drawn: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">').format(WIDTH, max(height, 10), said)
    return head + Markup("").join(drawn) + Markup("</svg>")


def _text(x: float, y: float, words: str, kind: str, *, anchor: str = "start") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}</text>').format(x, y, kind, anchor, words)


def _box(x: float, y: float, wide: float, tall: float, kind: str) -> Markup:
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}"/>').format(
        x, y, wide, tall, kind
    )


def _axis(x: float, y: float, to_x: float, to_y: float) -> Markup:
    return Markup('<path class="axis" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(x, y, to_x, to_y)


def _part(key: str, x: float, y: float, wide: float, tall: float, texture: str) -> Markup:
    drawn = _box(x, y, wide, tall, f"part {texture}")
    if texture in ("open_late", "closed_late"):
        drawn += Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="url(#{}-{})"/>').format(
            x, y, wide, tall, key, texture
        )
    return drawn


def _textures(key: str) -> Markup:
    return Markup(
        '<defs><pattern id="{key}-open_late" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<path class="thin" d="M0 0V5"/></pattern>'
        '<pattern id="{key}-closed_late" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">'
        '<path class="stripe" d="M0 0V8"/></pattern></defs>'
    ).format(key=escape(key))


def _band(steps: Sequence[tuple[float, float, float, float]], x: object, y: object, last: float) -> Markup:
    assert callable(x)  # noqa: S101  (ours)
    assert callable(y)  # noqa: S101  (ours)
    inside = [(0.0, 1.0, 1.0), *((days, low, high) for days, _, low, high in steps if days <= last)]
    inside.append((last, inside[-1][1], inside[-1][2]))
    above = f"M{x(0):.1f} {y(1):.1f}"
    for (_, _, _), (days, _, high) in pairwise(inside):
        above += f"H{x(days):.1f}V{y(high):.1f}"
    back = ""
    for (_, low, _), (days, _, _) in reversed(list(pairwise(inside))):
        back += f"L{x(days):.1f} {y(low):.1f}" if not back else f"H{x(days):.1f}V{y(low):.1f}"
    return Markup('<path class="band" d="{}H{:.1f}Z"/>').format(above + back, x(0))


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"
