"""Figures of the papers that the book quotes, each with its table: pages take them from here, never by hand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperFigure:
    """One printed number: its value, its unit, and where it stands (citation key and place)."""

    value: float
    unit: str
    key: str
    place: str


def _he2015(place: str, cells: dict, unit: str = "% error") -> dict:
    return {cell: PaperFigure(value, unit, "he2015", place) for cell, value in cells.items()}


# ImageNet validation, top-1 error, 10-crop, option A; (kind, depth).
HE2015_TABLE_2 = _he2015(
    "Table 2",
    {("plain", 18): 27.94, ("plain", 34): 28.54, ("residual", 18): 27.88, ("residual", 34): 25.03},
)

# CIFAR-10 test error of residual networks by depth (110: best of five runs, mean 6.61, deviation 0.16).
HE2015_TABLE_6 = _he2015("Table 6", {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}, "% test error")
