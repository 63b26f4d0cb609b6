"""The doors of devices and VPN servers: what they ask, and what they are answered."""

from pyramid.config import Configurator

from guywire.controller.poll_log import PollLog


def includeme(config: Configurator) -> None:
    """Serve ``/controller/``."""
    config.registry.poll_log = PollLog(config.registry.runtime)
    config.include("guywire.controller.device")
    config.include("guywire.controller.vpn")
