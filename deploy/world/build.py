"""Write the map of the big screen: `python -m deploy.world.build`. A test compares what is committed with it.

The shapes are `countries-110m.json` as it stands in world-atlas 2.0.2 (npm; ISC licence, Copyright 2013-2019 Michael
Bostock), which is made of Natural Earth's data (public domain). `places.csv` has for each ISO 3166-1 code the middle
of its largest land, read out of `countries-50m.json` of the same package: that one has the small countries too.
"""

from __future__ import annotations

import csv
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHAPES, PLACES, LICENCE = HERE / "countries-110m.json", HERE / "places.csv", HERE / "LICENSE"
TARGET = HERE.parents[1] / "streams" / "web" / "static" / "land.js"

WIDTH = 1_000
MIDDLE = 11.5
"""The map's middle meridian: its edge lies in the Bering Strait, and cuts no country in two."""
SOUTH, NORTH = -56.0, 83.7
"""Degrees of latitude that the map shows: all land but the Antarctic."""
ANTARCTICA = "010"
LEAST_CORNER = 1.1
"""A corner whose triangle with its neighbours is smaller goes; squares of the grid (Visvalingam and Whyatt, 1993)."""
LEAST_ISLAND = 3.0
"""An island that is smaller goes, in squares of the grid, unless it is all of its country."""
ACROSS = 0.5
"""A ring that is wider, in widths of the map, is an island on the edge of the world: it is left out."""
HEAD = """// The land of the world's countries, drawn by deploy/world/build.py: do not edit.
//
// Natural Earth (public domain) by way of world-atlas 2.0.2 (ISC, Copyright 2013-2019 Michael Bostock), in the Equal
// Earth projection. `places`: where the middle of a country is, by its ISO code. `shapes`: outlines of those that are
// large enough; under "" the land that has no code.
//
"""

Point = tuple[float, float]
Ring = list[Point]
A1, A2, A3, A4 = 1.340264, -0.081106, 0.000893, 0.003796
"""What Equal Earth is made of (Savric, Patterson and Jenny, 2018)."""
M = math.sqrt(3) / 2


def _equal_earth(longitude: float, latitude: float) -> Point:
    theta = math.asin(M * math.sin(math.radians(latitude)))
    square = theta * theta
    sixth = square**3
    slope = A1 + 3 * A2 * square + sixth * (7 * A3 + 9 * A4 * square)
    x = math.radians((longitude - MIDDLE + 540) % 360 - 180) * math.cos(theta) / (M * slope)
    return x, theta * (A1 + A2 * square + sixth * (A3 + A4 * square))


LEFT, TOP = _equal_earth(MIDDLE - 180, 0)[0], _equal_earth(MIDDLE, NORTH)[1]
SCALE = WIDTH / (-2 * LEFT)
HEIGHT = round((TOP - _equal_earth(MIDDLE, SOUTH)[1]) * SCALE)


def on_map(longitude: float, latitude: float) -> Point:
    """Return where a place is on the grid, from the upper left."""
    x, y = _equal_earth(longitude, max(SOUTH, min(NORTH, latitude)))
    return (x - LEFT) * SCALE, (TOP - y) * SCALE


def _arcs(topology: dict[str, Any]) -> list[Ring]:
    """Return the lines that the countries share, simplified: a border is one line for both its sides."""
    (sx, sy), (tx, ty) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for steps in topology["arcs"]:
        x = y = 0
        arc = []
        for dx, dy in steps:
            x, y = x + dx, y + dy
            arc.append(on_map(x * sx + tx, y * sy + ty))
        arcs.append(_simplified(arc))
    return arcs


def _triangle(a: Point, b: Point, c: Point) -> float:
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])) / 2


def _simplified(line: Ring) -> Ring:
    """Return a line without the corners that nobody would miss; its ends stay."""
    line = list(line)
    while len(line) > 3:  # noqa: PLR2004 - a ring of its own keeps an area
        areas = [_triangle(*line[i - 1 : i + 2]) for i in range(1, len(line) - 1)]
        least = min(range(len(areas)), key=areas.__getitem__)
        if areas[least] >= LEAST_CORNER:
            break
        del line[least + 1]
    return line


def _ring(indices: list[int], arcs: list[Ring]) -> Ring:
    ring: Ring = []
    for index in indices:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        ring += arc if not ring else arc[1:]
    return ring


def _area(ring: Ring) -> float:
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise([*ring, ring[0]]))) / 2


def _width(ring: Ring) -> float:
    return max(x for x, _ in ring) - min(x for x, _ in ring)


def _path(rings: list[Ring]) -> str:
    """Return rings as a path: each begins at a place of the grid, and goes on in steps from corner to corner."""
    path = []
    for ring in rings:
        corners = [(round(x), round(y)) for x, y in ring]
        steps = [(bx - ax, by - ay) for (ax, ay), (bx, by) in pairwise(corners) if (ax, ay) != (bx, by)]
        path.append(f"M{corners[0][0]} {corners[0][1]}l" + " ".join(f"{dx} {dy}" for dx, dy in steps[:-1]) + "z")
    return "".join(path).replace(" -", "-")


def _shape(geometry: dict[str, Any], arcs: list[Ring]) -> str:
    polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
    rings = [_ring(ring, arcs) for polygon in polygons for ring in polygon]
    rings = [ring for ring in rings if _width(ring) < ACROSS * WIDTH]
    rings.sort(key=_area, reverse=True)
    return _path([ring for place, ring in enumerate(rings) if place == 0 or _area(ring) >= LEAST_ISLAND])


def page() -> str:
    """Return the module that is served."""
    topology = json.loads(SHAPES.read_text("utf-8"))
    arcs = _arcs(topology)
    with PLACES.open(encoding="utf-8", newline="") as rows:
        known = list(csv.DictReader(rows))
    codes = {row["number"]: row["code"] for row in known}
    shapes: dict[str, str] = {}
    for geometry in topology["objects"]["countries"]["geometries"]:
        if geometry.get("id") != ANTARCTICA:
            code = codes.get(geometry.get("id", ""), "")
            shapes[code] = shapes.get(code, "") + _shape(geometry, arcs)
    points = {row["code"]: on_map(float(row["longitude"]), float(row["latitude"])) for row in known}
    terms = [f"// {line}".rstrip() for line in LICENCE.read_text("utf-8").splitlines()]
    lines = [
        HEAD + "\n".join(terms),
        "",
        "export const LAND = {",
        f"  width: {WIDTH},",
        f"  height: {HEIGHT},",
        "  shapes: {",
    ]
    lines += [f'    {code or repr("")}: "{path}",'.replace("''", '""') for code, path in sorted(shapes.items())]
    lines += ["  },", "  places: {"]
    lines += [f"    {code}: [{round(x)}, {round(y)}]," for code, (x, y) in sorted(points.items())]
    return "\n".join([*lines, "  },", "};"]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
