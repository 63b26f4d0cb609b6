"""A column type for JSON that holds secrets."""

from __future__ import annotations

from typing import Any

import orjson
from guywire.sealing import SealedBytes
from sqlalchemy.engine import Dialect
from typing_extensions import override


class SealedJSON(SealedBytes):
    """A JSON value that is sealed in the database. ``purpose`` is ``table.column``."""

    cache_ok = True

    @override
    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Seal on the way into the database."""
        return super().process_bind_param(None if value is None else orjson.dumps(value), dialect)

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Open on the way out of it."""
        plain = super().process_result_value(value, dialect)
        return None if plain is None else orjson.loads(plain)

    @override
    def compare_values(self, x: Any, y: Any) -> bool:
        """Whether an assignment changes nothing. (In Python, 1 == 1.0 == True.)"""
        return orjson.dumps(x) == orjson.dumps(y)
