"""Built-in plugin: configurations for OpenWrt and for the legacy OpenWISP 1.x firmware, over netjsonconfig."""

from guywire import hookimpl
from guywire.interfaces import ConfigBackend

from .netjson import OpenWisp, OpenWrt


@hookimpl
def register_config_backends() -> list[ConfigBackend]:
    """The two backends of the reference, under the ids that stored devices carry."""
    return [OpenWrt(), OpenWisp()]
