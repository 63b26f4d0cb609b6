"""What floors are called, and which one is looked at first."""

from __future__ import annotations

from collections.abc import Collection


def first_of(floors: Collection[int]) -> int | None:
    """The floor that is shown to who names none: the lowest that is not below ground, else the highest."""
    return min((floor for floor in floors if floor >= 0), default=max(floors, default=None))


def title_of(location: str, floor: int) -> str:
    """The name of a floor plan: "Town Hall 2nd Floor"."""
    return f"{location} {ordinal(floor)} Floor"


def label_of(location: str, floor: int) -> str:
    """The name of a floor where people look for it: "Town Hall ground floor"."""
    return f"{location} {ordinal(floor) if floor else 'ground'} floor"


def ordinal(number: int) -> str:
    """The number as people count: 1st, 2nd; below zero as it is."""
    if number < 0:
        return str(number)
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
