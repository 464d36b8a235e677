"""The picture of the demo: a map and two curves of the warming. Knows matplotlib; never Zarr, never a network."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

SCENARIO_COLOURS = {"A1B": "#c43c2c", "E1": "#2471a3"}
INK, PAST, FAINT = "#243442", "#5d6d7a", "#93a1ad"
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
SMOOTHING_YEARS = 11
FIRST, LAST = "1860\N{EN DASH}1889", "2070\N{EN DASH}2099"
SOURCE = (
    "Surface air temperature of the Met Office Unified Model, from iris-sample-data; the coast is an ocean model's. "
    "Thick lines are means of 11 years. Written and read by azarr."
)


@dataclass(frozen=True, slots=True)
class Coast:
    """Where there is land, on a grid of its own: three arrays of one two-dimensional shape."""

    land: NDArray[np.bool_]
    latitude: NDArray[Any]
    longitude: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Warming:
    """What the picture shows, in K: a map (latitude, longitude) of scenario A1B and a curve by year of each."""

    map: NDArray[np.float64]
    latitude: NDArray[Any]
    longitude: NDArray[Any]
    coast: Coast
    curves: dict[str, NDArray[np.float64]]
    years: NDArray[np.int64]


def draw_picture(warming: Warming, path: Path) -> None:
    """Write the picture as PNG: 1972 pixels wide."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.6, 4.55))
        draw_map(figure.add_axes((0.058, 0.135, 0.43, 0.69)), figure.add_axes((0.502, 0.135, 0.011, 0.69)), warming)
        draw_curves(figure.add_axes((0.613, 0.135, 0.32, 0.69)), warming)
        figure.text(0.058, 0.022, SOURCE, fontsize=8.5, color=PAST)
        figure.savefig(path, format="png", dpi=170, facecolor="white")


def draw_title(axes: Axes, title: str, subtitle: str) -> None:
    """A title, and below it what exactly is drawn."""
    axes.set_title(title, loc="left", fontsize=14.5, fontweight="bold", pad=26)
    axes.text(0, 1.03, subtitle, transform=axes.transAxes, fontsize=10.5, color=PAST)


def draw_map(axes: Axes, bar_axes: Axes, warming: Warming) -> None:
    """The map: a colour for each cell of the model, in steps of half a kelvin, and the coast."""
    longitude, latitude, values = warming.longitude, warming.latitude, warming.map
    draw_title(axes, "Where it warms", f"Scenario A1B, mean of {LAST} minus mean of {FIRST}")
    levels = np.arange(np.floor(values.min()), np.ceil(values.max()) + 0.5, 0.5)
    cells = axes.pcolormesh(longitude, latitude, values, cmap="YlOrRd", norm=BoundaryNorm(levels, 256))
    coast = warming.coast
    axes.contour(coast.longitude, coast.latitude, coast.land, levels=[0.5], colors=INK, linewidths=0.9)

    row, column = np.unravel_index(values.argmax(), values.shape)
    text = f"up to\n{values.max():+.1f} K"
    axes.text(longitude[column], latitude[row] - 1, text, color="white", fontweight="bold", ha="center", va="top")

    axes.set_xlim(longitude[0], longitude[-1])
    axes.set_ylim(latitude[0], latitude[-1])
    axes.set_anchor("W")
    axes.set_aspect(1 / np.cos(np.deg2rad(latitude.mean())))  # A degree of longitude is shorter away from the equator.
    axes.set_xticks([240, 260, 280, 300], ["120°W", "100°W", "80°W", "60°W"])
    axes.set_yticks([20, 30, 40, 50], ["20°N", "30°N", "40°N", "50°N"])
    axes.tick_params(length=0)
    bar = axes.figure.colorbar(cells, cax=bar_axes, ticks=levels[::2])
    bar.set_label("warming (K)")
    bar.outline.set_visible(False)
    bar_axes.tick_params(which="both", length=0)


def draw_curves(axes: Axes, warming: Warming) -> None:
    """The past that the scenarios share, and both of them from where they part."""
    years, curves = warming.years, warming.curves
    draw_title(axes, "How much, year by year", f"Area-weighted mean of the map, relative to {FIRST}")
    for left, right in ((years[0], years[29]), (years[-30], years[-1])):
        axes.axvspan(left, right, color="#eef1f4", linewidth=0)
        axes.text((left + right) / 2, -0.92, f"{left}\N{EN DASH}\n{right}", ha="center", fontsize=8.5, color=PAST)
    axes.axhline(0, color=FAINT, linewidth=0.8)

    part = int(np.argmax(curves["A1B"] != curves["E1"]))  # The scenarios share the years before this one.
    draw_curve(axes, years, curves["A1B"], slice(0, part + 1), PAST)
    for name, curve in curves.items():
        draw_curve(axes, years, curve, slice(part, None), SCENARIO_COLOURS[name])
        last = curve[-30:].mean()
        text = f"{name}\n{last:+.1f} K"
        axes.text(2103, last, text, color=SCENARIO_COLOURS[name], fontweight="bold", fontsize=12, va="center")

    axes.set_xlim(years[0], years[-1])
    axes.set_ylim(-1, 5.5)
    axes.set_yticks(range(6))
    axes.set_ylabel("warming (K)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e8ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def draw_curve(axes: Axes, years: NDArray[Any], curve: NDArray[Any], part: slice, colour: str) -> None:
    """A thin line by year and a thick one, the mean of the years around each."""
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(curve, SMOOTHING_YEARS // 2, constant_values=np.nan), SMOOTHING_YEARS
    )
    axes.plot(years[part], curve[part], color=colour, linewidth=0.8, alpha=0.5)
    axes.plot(years[part], np.mean(around, axis=1)[part], color=colour, linewidth=2.4, solid_capstyle="round")
