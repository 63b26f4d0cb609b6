"""The REST API in a browser: every answer as a page with links and forms, login, and a start page."""

from pyramid.config import Configurator

from guywire.browsable.page import static_version


def includeme(config: Configurator) -> None:
    """Serve the pages."""
    config.add_tween("guywire.browsable.tween.factory")
    year = 365 * 24 * 3600
    config.add_static_view(f"static/{static_version()}", "guywire.browsable:static", cache_max_age=year)
    config.include("guywire.browsable.plugin_pages")
    config.include("guywire.browsable.login")
    config.include("guywire.browsable.password")
    config.include("guywire.browsable.start")
