"""The REST API: one generic resource, one file per family."""

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Serve the core's resources."""
    config.include("guywire.api.answers")
    config.include("guywire.api.slashes")
    config.include("guywire.api.config_schema")
    config.scan("guywire.api")
