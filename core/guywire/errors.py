"""Errors that become answers of the REST API, with the bodies that clients of the reference expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FieldErrors = dict[str, Any]
"""Messages by field: ``{"name": ["This field is required."], "config": {"backend": [...]}}``."""

NON_FIELD = "non_field_errors"
"""Key of errors of the whole body that the serializers of the reference raise."""

MODEL = "__all__"
"""Key of errors of the whole object that the models of the reference raise."""


class APIError(Exception):
    """An answer of ``status`` with ``body`` as JSON."""

    status = 500

    def __init__(self, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body)
        self.body = body
        self.headers = dict(headers or {})


class DetailError(APIError):
    """An answer whose body is ``{"detail": message}``."""

    message = ""

    def __init__(self, message: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__({"detail": self.message if message is None else message}, headers)


class Invalid(APIError):
    """400: the body's fields are wrong; the errors are named by field."""

    status = 400

    def __init__(self, errors: FieldErrors) -> None:
        super().__init__(errors)


class ParseError(DetailError):
    """400: the body cannot be read at all."""

    status = 400


class NotAuthenticated(DetailError):
    """401: nobody, or somebody unknown, asks."""

    status = 401
    message = "Authentication credentials were not provided."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, {"WWW-Authenticate": "Bearer"})


class PermissionDenied(DetailError):
    """403: the user may not do this."""

    status = 403
    message = "You do not have permission to perform this action."


class PasswordExpired(APIError):
    """403: the password has to be changed first; the body says at which addresses of ``server`` (``https://…``)."""

    status = 403

    def __init__(self, server: str) -> None:
        super().__init__(
            {
                "detail": "Your password has expired. Update it to continue.",
                "code": "password_expired",
                "web_password_change_url": f"{server}/accounts/password/change/",
                "api_password_change_url": f"{server}/api/v1/users/user/password/change/",
                "api_password_reset_url": f"{server}/api/v1/users/password/reset/",
            }
        )


class NotFound(DetailError):
    """404: there is no such object, or none that the user may see."""

    status = 404
    message = "Not found."

    @classmethod
    def of(cls, label: str) -> NotFound:
        """The reference's sentence for an object of the kind ``label`` (``Device``)."""
        return cls(f"No {label} matches the given query.")


class MethodNotAllowed(DetailError):
    """405: the resource has no such method; ``Allow`` lists those that it has."""

    status = 405

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f'Method "{method}" not allowed.', {"Allow": allowed})


class NotAcceptable(DetailError):
    """406: the client accepts nothing that we could send."""

    status = 406
    message = "Could not satisfy the request Accept header."


class Conflict(DetailError):
    """409: others depend on it; the message names them."""

    status = 409


class BodyTooLarge(DetailError):
    """413: the body is larger than ``guywire.max_body_size``."""

    status = 413
    message = "The request body is too large."


class UnsupportedMediaType(DetailError):
    """415: the body's content type is not one that we read."""

    status = 415

    def __init__(self, media_type: str) -> None:
        super().__init__(f'Unsupported media type "{media_type}" in request.')


class Throttled(DetailError):
    """429: too many wrong passwords or tokens; ``Retry-After`` says when to come back."""

    status = 429

    def __init__(self, seconds: int) -> None:
        message = f"Request was throttled. Expected available in {seconds} second{'' if seconds == 1 else 's'}."
        super().__init__(message, {"Retry-After": str(seconds)})
        self.seconds = seconds


class Overloaded(DetailError):
    """503: the database is busy or away; ``Retry-After`` says when to come back."""

    status = 503
    message = "The server is busy, try again later."

    def __init__(self) -> None:
        super().__init__(None, {"Retry-After": "5"})


class Overtaken(Overloaded):
    """What was read before locks were taken is another one by now. The request is repeated; the client is told only
    when that does not help.
    """
