"""The drawings: well formed, to scale, with their sentence, in frames that hold them; nothing that a reader wrote is markup."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from web import pictures
from web.pictures import Bar, Line, Stop

SAID = "Sur 10 promesses, 6 & demie <ont> été tenues."
NS = "{http://www.w3.org/2000/svg}"


def drawn(svg):
    """The drawing, parsed; with its role and its sentence, and nothing inline."""
    root = ET.fromstring(str(svg))  # noqa: S314  (ours)
    assert root.get("role") == "img"
    assert root.get("aria-label") == SAID
    for one in root.iter():
        assert not {name for name in one.attrib if name == "style" or name.startswith("on")}
        assert one.tag not in ("style", "script")
    wide, high = map(float, root.get("viewBox").split()[2:])
    assert wide == pictures.WIDTH
    for one in root.iter("rect"):
        assert float(one.get("x")) >= -0.1
        assert float(one.get("x")) + float(one.get("width")) <= wide + 0.1
        assert float(one.get("y")) + float(one.get("height")) <= high + 0.1
    for one in root.iter("text"):
        assert 0 <= float(one.get("x")) <= wide
        assert float(one.get("y")) <= high
    return root


def parts(root, texture):
    return [float(one.get("width")) for one in root.iter("rect") if one.get("class") == f"part {texture}"]


def test_bars_are_to_one_scale_and_their_parts_add_up():
    lines = [
        Bar("DDTM <64>", [("closed_in_time", 6), ("open_late", 2)], "75 %"),
        Bar("DREAL", [("closed_late", 4)], "0 %"),
    ]
    root = drawn(pictures.bars("k", lines, SAID, legend=[("open_late", "en retard")]))
    assert parts(root, "closed_in_time") == [270.0]
    assert parts(root, "open_late")[0] == 90.0
    assert parts(root, "closed_late") == [180.0]
    assert [one.text for one in root.iter("text")] == ["DDTM <64>", "75 %", "DREAL", "0 %", "en retard"]
    assert {one.get("fill") for one in root.iter("rect")} >= {
        "url(#k-open_late)",
        "url(#k-closed_late)",
    }  # not by colour alone


def test_a_curve_steps_down_inside_its_band():
    gross = Line("brut", [(2.0, 0.8, 0.6, 0.9), (5.0, 0.4, 0.2, 0.7), (9.0, 0.0, 0.0, 0.0)])
    root = drawn(pictures.curves([gross, Line("net", [(1.0, 0.5, 0.3, 0.6)])], SAID, unit="jours", until=10))
    band, first, second, *_ = [one for one in root.iter("path") if one.get("class") in ("band", "curve")]
    assert first.get("d") == "M40.0 14.0H102.0V43.2H195.0V101.6H319.0V160.0H350.0"
    assert second.get("stroke-dasharray")
    heights = [float(y) for y in re.findall(r"V([\d.]+)", band.get("d"))]
    assert heights[:3] == [28.6, 57.8, 160.0]  # above: 0.9, 0.7, 0
    assert heights[-2:] == [72.4, 14.0]  # below, on the way back: 0.6, then 1
    assert band.get("d").endswith("H40.0Z")


def test_columns_stand_on_one_another():
    root = drawn(pictures.histogram("h", [("0", 3, 1), ("7", 0, 2)], SAID, legend=("finies", "durent"), unit="jours"))
    heights = {}
    for one in root.iter("rect"):
        if (one.get("class") or "").startswith("part") and float(one.get("y")) < 140:
            heights.setdefault(one.get("x"), []).append((float(one.get("y")), float(one.get("height"))))
    assert list(heights.values()) == [[(50.0, 90.0), (20.0, 30.0)], [(80.0, 60.0)]]


def test_a_cell_says_its_share_in_words_and_what_is_not_known_is_no_zero():
    root = drawn(
        pictures.heat(["2026-12", "2027-01"], [("64", [0.0, 0.67]), ("71", [None, 1.0]), ("97", ["2/3", None])], SAID)
    )
    assert [one.text for one in root.iter("text")] == [
        "2026",
        "12",
        "2027",
        "01",
        "64",
        "0",
        "67",
        "71",
        "–",
        "100",
        "97",
        "2/3",
        "–",
    ]
    assert [one.get("class") for one in root.iter("rect")] == ["heat h0", "heat h3", "heat h4"]


def test_the_more_went_the_thicker_the_arrow():
    root = drawn(
        pictures.flow(
            [Stop("Dépôt", ""), Stop("Service", "ouverts : 2"), Stop("Préfecture", "")], [(0, 1, 8), (1, 2, 4)], SAID
        )
    )
    moves = [float(one.get("stroke-width")) for one in root.iter("path") if one.get("class") == "move"]
    assert moves == [9.5, 5.5]
    assert {"8", "4"} < {one.text for one in root.iter("text")}


@pytest.mark.parametrize(
    "svg",
    [
        pictures.bars("k", [], SAID), pictures.bars("k", [Bar("x", [("plain", 0)], "0")], SAID),
        pictures.histogram("h", [], SAID, legend=("a", "b"), unit="j"), pictures.curves([Line("x", [])], SAID, unit="j", until=0),
        pictures.heat([], [], SAID), pictures.flow([], [], SAID),
    ],
)  # fmt: skip
def test_of_nothing_there_is_a_drawing_all_the_same(svg):
    drawn(svg)
