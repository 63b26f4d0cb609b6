"""What ``guywire check`` found about one subject."""

from __future__ import annotations

from dataclasses import dataclass

RIGHT, NOTE, WRONG = "ok", "note", "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one subject, and what to do about it."""

    level: str
    subject: str
    text: str
    advice: str = ""
