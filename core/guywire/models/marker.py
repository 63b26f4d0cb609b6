"""Facts about the installation as a whole."""

from __future__ import annotations

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from guywire.models.base import Base


class Marker(Base):
    """A named value that outlives a restart, such as the settings that the archives were rendered with."""

    __tablename__ = "marker"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
