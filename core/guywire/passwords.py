"""Password hashes: argon2 for ours, Django's PBKDF2 understood so that accounts can move in."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_LENGTH = 8
"""How many characters a new password has to have."""

_DJANGO = "pbkdf2_sha256$"
_MAX_ITERATIONS = 10_000_000


def hash_password(password: str) -> str:
    """An argon2id hash of ``password`` with its parameters and salt."""
    return _hasher().hash(password)


def verify_password(password: str, stored: str) -> bool:
    """Whether ``password`` is the one that ``stored`` was made from. An empty or unknown hash never matches."""
    if stored.startswith(_DJANGO):
        return _verify_django(password, stored)
    try:
        return _hasher().verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Whether a password that was just verified should be stored anew, with today's method."""
    return stored.startswith(_DJANGO) or _hasher().check_needs_rehash(stored)


def pretend_to_verify(password: str) -> None:
    """Spend the time of a verification, so that unknown user names cannot be told from wrong passwords."""
    verify_password(password, _any_hash())


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _any_hash() -> str:
    return hash_password("of nobody")


def _verify_django(password: str, stored: str) -> bool:
    """Format of Django: ``pbkdf2_sha256$<iterations>$<salt>$<base64 of the key>``."""
    try:
        _, iterations, salt, encoded = stored.split("$")
        expected = base64.b64decode(encoded, validate=True)
        rounds = int(iterations)
    except ValueError:
        return False
    if not 0 < rounds <= _MAX_ITERATIONS:
        return False
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), rounds), expected)
