"""Figures as inline SVG whose colours are the page's: one drawing serves light, dark and print.

matplotlib draws with stand-in colours; on export each becomes a CSS variable, so the style sheet decides. Text stays
text in the page's own font. One user unit is one CSS pixel at the figure's natural width.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import StringIO
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"

# Stand-ins: no drawing uses these values otherwise, and each names one variable of the style sheet.
INK = "#010101"
MUTED = "#020202"
RULE = "#030303"
PAPER = "#040404"
STABLE = "#050505"
CANDIDATE = "#060606"
GOOD = "#070707"
BAD = "#080808"
BAND = "#090909"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    STABLE: "--stable",
    CANDIDATE: "--candidate",
    GOOD: "--good",
    BAD: "--bad",
    BAND: "--band",
}

UNITS_PER_INCH = 72
LABEL = 12.0
TICK = 11.0

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "slipway",
    "figure.dpi": UNITS_PER_INCH,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": LABEL,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlepad": 8.0,
    "axes.labelsize": TICK,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": LABEL,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": TICK,
    "xtick.major.size": 0,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": TICK,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A drawing of a fixed natural size, in pixels; axes are placed by the pixel, from the top left corner."""

    figure: Figure
    width: float
    height: float

    @classmethod
    def of(cls, width: float, height: float) -> "Canvas":
        """Return an empty canvas."""
        figure = Figure(figsize=(width / UNITS_PER_INCH, height / UNITS_PER_INCH))
        figure.patch.set_visible(False)
        return cls(figure=figure, width=width, height=height)

    def axes(self, *, left: float, top: float, right: float, bottom: float) -> Axes:
        """Return axes between these margins, each counted from its own edge of the canvas."""
        wide, high = self.width - left - right, self.height - top - bottom
        place = (left / self.width, bottom / self.height, wide / self.width, high / self.height)
        axes = self.figure.add_axes(place)
        axes.patch.set_visible(False)
        return axes

    def markup(self, name: str, label: str) -> Markup:
        """Return the drawing for a page.

        ``name`` is unique on the page; ``label`` says to those who can't see the drawing what it shows.
        """
        with StringIO() as text:
            self.figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None})
            tree = ET.fromstring(text.getvalue())  # noqa: S314  matplotlib wrote this text in the line above
        return Markup(_inline(tree, name=name, label=label))  # noqa: S704  ElementTree escapes what it serialises


def label_ends(axes: Axes, entries: Sequence[tuple[str, float, str]], *, size: float = LABEL) -> None:
    """Name lines at their right ends, in their colours, a line's height apart; call it when the limits are set."""
    bottom, top = axes.get_ylim()
    apart = (top - bottom) * 1.15 * size / axes.bbox.height
    places: list[float] = []
    ordered = sorted(entries, key=lambda entry: -entry[1])
    for _, y, _ in ordered:
        places.append(min(y, places[-1] - apart if places else top))
    lowest = bottom
    for place in reversed(range(len(places))):
        places[place] = max(places[place], lowest)
        lowest = places[place] + apart
    for (words, _, colour), y in zip(ordered, places, strict=True):
        axes.annotate(
            words,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(7, -0.35 * size),
            textcoords="offset points",
            color=colour,
            fontsize=size,
            fontweight="bold",
            annotation_clip=False,
        )


def style() -> AbstractContextManager[None]:
    """Return a context in which drawings have the report's looks."""
    return mpl.rc_context(STYLE)


def _inline(tree: ET.Element, *, name: str, label: str) -> str:
    _prune(tree)
    used = {reference for element in tree.iter() for reference in _references(element)}
    for element in tree.iter():
        _clean(element, f"{name}-", used)
    view_box = tree.attrib["viewBox"]
    tree.attrib.clear()
    tree.attrib.update(
        {
            "viewBox": view_box,
            "role": "img",
            "aria-label": label,
            "class": "plot",
            "id": f"plot-{name}",
            "stroke-linejoin": "round",
        }
    )
    return ET.tostring(tree, encoding="unicode", method="html")


def _prune(parent: ET.Element) -> None:
    """Drop metadata, style sheets (they would hold for the whole page) and groups without content."""
    for child in tuple(parent):
        _prune(child)
        kind = child.tag.removeprefix(SVG)
        if kind in {"metadata", "style"} or (kind in {"g", "defs"} and len(child) == 0):
            parent.remove(child)


def _references(element: ET.Element) -> list[str]:
    if href := element.get(HREF):
        return [href.removeprefix("#")]
    return re.findall(r"url\(#([^)]+)\)", element.get("clip-path", ""))


def _clean(element: ET.Element, prefix: str, used: set[str]) -> None:
    element.tag = element.tag.removeprefix(SVG)
    name = element.attrib.pop("id", None)
    if name in used:
        element.set("id", prefix + name)
    if href := element.attrib.pop(HREF, None):
        element.set("href", f"#{prefix}{href.removeprefix('#')}")
    for key, value in tuple(element.attrib.items()):
        element.set(key, _attribute(key, value, prefix))
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    if element.text is not None and not element.text.strip():
        element.text = None
    element.tail = None


def _attribute(key: str, value: str, prefix: str) -> str:
    if key == "style":
        value = re.sub(r"font-family:[^;]*;? ?", "", value)
        for colour, variable in VARIABLES.items():
            value = value.replace(colour, f"var({variable})")
        return value
    if key == "clip-path":
        return value.replace("url(#", f"url(#{prefix}")
    if key in {"d", "x", "y", "transform"}:
        return " ".join(re.sub(r"-?\d+\.\d+", _rounded, value).split())
    return value


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number.group(0)):.1f}".removesuffix(".0")
