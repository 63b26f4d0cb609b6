"""The REST API described by itself: an OpenAPI document, and Swagger UI to read and try it."""

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Serve the document and the page."""
    config.include("guywire.openapi.views")
