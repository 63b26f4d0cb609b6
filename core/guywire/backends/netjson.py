"""The two backends as the core sees them: they say why they refuse a configuration and never fall over one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

from guywire.interfaces import ArchiveFile, JSONObject

from .engine import Engine, OpenWispEngine, OpenWrtEngine
from .layers import encoded, parsed
from .refusals import STUMBLES, refusing

_OPENWRT_RELEASE = re.compile(r"openwrt\s*(\d+)", re.ASCII | re.IGNORECASE)


class NetjsonBackend:
    """A ``ConfigBackend`` over one of netjsonconfig's. Threads may share it."""

    id: str
    label: str
    engine: ClassVar[type[Engine]]

    def __init__(self) -> None:
        # A copy: whoever adapts the schema for an editor must not change what is accepted.
        self.schema: Mapping[str, Any] = deepcopy(self.engine.schema)

    def validate(
        self, config: JSONObject, templates: Sequence[JSONObject], context: Mapping[str, Any], device_os: str = ""
    ) -> None:
        """Raise ConfigurationInvalid when the merged layers do not fit the schema.

        Like the reference this accepts what cannot be rendered only because a variable is still unknown: a template
        with a route to ``{{ subnet }}``. ``render`` refuses that.
        """
        self._validated(config, templates, context, device_os)

    def render(
        self, config: JSONObject, templates: Sequence[JSONObject], context: Mapping[str, Any], device_os: str = ""
    ) -> list[ArchiveFile]:
        """The files in archive order. Raises ConfigurationInvalid when the layers do not fit the schema or each other,
        or hold something that has no form in UCI."""
        engine = self._validated(config, templates, context, device_os)
        with refusing():
            return engine.archive_files()

    def _validated(
        self, config: JSONObject, templates: Sequence[JSONObject], context: Mapping[str, Any], device_os: str
    ) -> Engine:
        with refusing():
            layer, dsa = parsed(encoded(config)), uses_dsa(device_os)
            engine = self.engine(layer, templates=list(templates), context=context, dsa=dsa)
            try:
                engine.validate()
            except STUMBLES:
                # The library looks into radios before its schema could say that they are none.
                Engine.validate(engine)
                raise
            return engine


class OpenWrt(NetjsonBackend):
    """OpenWrt: UCI packages in ``etc/config``, then the extra files."""

    id = "netjsonconfig.OpenWrt"
    label = "OpenWRT"
    engine = OpenWrtEngine


class OpenWisp(NetjsonBackend):
    """The legacy OpenWISP 1.x firmware: UCI packages in ``uci`` and scripts that install and remove them."""

    id = "netjsonconfig.OpenWisp"
    label = "OpenWISP Firmware 1.x"
    engine = OpenWispEngine


def uses_dsa(device_os: str) -> bool:
    """Whether a device has the network syntax of OpenWrt 21, by the name of its operating system.

    What does not name a release of OpenWrt (a snapshot, another firmware, nothing at all) is taken for a recent one.
    """
    release = _OPENWRT_RELEASE.search(device_os)
    return release is None or int(release[1]) >= 21
