"""Downloads of configuration archives."""

from __future__ import annotations

from pyramid.response import Response

ARCHIVE = "application/octet-stream"
"""The media type of archives, as the reference has it."""


def archive_response(name: str, archive: bytes) -> Response:
    """A tar.gz as a download with the reference's headers: its file name is not quoted."""
    response = Response(archive, content_type=ARCHIVE)
    response.headers["Content-Disposition"] = content_disposition(name)
    response.headers["X-Openwisp-Controller"] = "true"
    return response


def content_disposition(name: str) -> str:
    """The header's value for an object called ``name``. Headers travel as Latin-1, names may be anything."""
    printable = "".join(character if character.isprintable() else "_" for character in name)
    return f"attachment; filename={printable}.tar.gz".encode().decode("latin-1")
