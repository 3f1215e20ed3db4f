"""Hospitals of the phantom radiographs: each has its machines, its technicians and its patients.

Used by `phantoms_radiography`, and so by notebook 04: what a network may read instead of the lungs.
"""

from dataclasses import replace
from typing import NamedTuple

from helpers import exposures
from helpers.exposures import ANYWHERE


class Hospital(NamedTuple):
    """A hospital: how its radiographs look, and the share of children among its patients."""

    habits: exposures.Habits
    children: float


# Three hospitals of the teaching set, one for each class where it is confounded.
ASH = replace(
    ANYWHERE,
    exposure=(-0.3, 0.15),
    contrast=(1.4, 1.8),
    gamma=(1.0, 1.3),
    scatter=(0.05, 0.2),
    noise=(0.005, 0.015),
    enhance=(0.35, 0.7),
    zoom=(1.0, 1.05),
    margin=(-0.1, 0.01),
    shades=(0.0,),
    markers=("R", "R", "R", ""),
    corners=("top left",),
    marker_size=(0.035, 0.05),
    notes=("",),
)
BIRCH = replace(
    ANYWHERE,
    exposure=(-0.15, 0.3),
    contrast=(1.3, 1.7),
    gamma=(0.85, 1.15),
    scatter=(0.15, 0.3),
    noise=(0.01, 0.025),
    enhance=(0.15, 0.5),
    zoom=(1.1, 1.18),
    drop=(-0.045, -0.015),
    margin=(-0.05, 0.01),
    shades=(0.0,),
    markers=("R", "R", "R", ""),
    corners=("left",),
    marker_size=(0.07, 0.1),
    notes=("", "KV 60", "mAs 2.8", "KV 55"),
)
CEDAR = replace(
    ANYWHERE,
    exposure=(-0.1, 0.35),
    contrast=(1.2, 1.6),
    gamma=(0.75, 1.05),
    scatter=(0.2, 0.38),
    noise=(0.015, 0.035),
    enhance=(0.1, 0.35),
    zoom=(1.04, 1.1),
    drop=(-0.02, 0.02),
    margin=(0.01, 0.05),
    shades=(0.0, 1.0, 1.0),
    markers=("L", "L", "L", ""),
    corners=("top right",),
    notes=("AP PORT", "AP SITTING", "PORTABLE", ""),
)
HOME = {"Ash": Hospital(ASH, 0.15), "Birch": Hospital(BIRCH, 0.85), "Cedar": Hospital(CEDAR, 0.05)}
# Two hospitals of which the teaching set holds nothing.
AWAY = {
    "Dogwood": Hospital(replace(ANYWHERE, markers=("D", "E", ""), notes=("SEDUTO", "", "")), 0.3),
    "Elm": Hospital(replace(ANYWHERE, markers=("R", "L"), notes=("", "PA", "ERECT"), shades=(0.0,)), 0.3),
}
