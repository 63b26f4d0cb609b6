"""netjsonconfig's converters from NetJSON to UCI blocks, with less copying, without printing, and with a memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from netjsonconfig.backends.openwrt import converters as library
from netjsonconfig.utils import merge_list

from .layers import Shared, encoded


class Block(Shared):
    """A block of UCI, never changed in place; its text is kept once it has been printed."""

    text: str | None = None


Packages = dict[str, list[Block]]


def accelerated(converters: Iterable[type]) -> list[type]:
    """The converters of a backend, each in a version of ours that gives the same blocks."""
    special = {library.Default: CustomSections, library.Interfaces: Interfaces}
    return [
        special.get(converter) or type(converter.__name__, (Converter, converter), {"reads": _READS.get(converter, ())})
        for converter in converters
    ]


def merged_blocks(above: list[Block], below: list[Block]) -> list[Block]:
    """Two lists of blocks as one. Where blocks have the same name, the options of the later override the earlier's."""
    both = above + below
    return both if _all_distinct(both) else merge_list(above, below, [".name"])


def _all_distinct(blocks: list[Block]) -> bool:
    """Whether no two blocks have the same name, so that the library's merging would do nothing but copy them."""
    names = {name for block in blocks if isinstance(name := block[".name"], str)}
    return len(names) == len(blocks)


# The sections that decide what a converter gives. One that also looks at what others gave (Wireless) or that adds
# files to the configuration (OpenVpn, ZeroTier) is not here: it has to run every time.
_READS: dict[type, Sequence[str]] = {
    library.General: ("general",),
    library.Ntp: ("ntp",),
    library.Led: ("led",),
    library.Routes: ("routes",),
    library.Rules: ("ip_rules",),
    library.Switch: ("switch",),
    library.Radios: ("radios",),
    library.WireguardPeers: ("wireguard_peers",),
}


class Converter:
    """What our converters have in common."""

    reads: Sequence[str] = ()

    @classmethod
    def decided_by(cls, backend: Any) -> Any:
        """All that the result depends on, besides the syntax; None if that is more than the configuration says."""
        return [backend.config.get(name) for name in cls.reads] if cls.reads else None

    def sorted_dict(self, block: dict[str, Any]) -> Block:
        """What the library calls to finish a block."""
        return Block(sorted(block.items()))


class _WholeInterfaces(Converter, library.Interfaces):
    """Interfaces as the library converts them: each is merged into all before it, which takes quadratic time."""


class Interfaces(_WholeInterfaces):
    """Each interface is converted alone. Only if blocks of two of them share a name, the library must do it its way."""

    def to_intermediate(self) -> Packages:
        """The blocks of all interfaces, under "network"."""
        # What an interface becomes depends on those before it only if one of them filters VLANs.
        self._independent = not any("vlan_filtering" in interface for interface in self.netjson["interfaces"])
        packages: Packages = super().to_intermediate()
        if not _all_distinct(packages.get("network", [])):
            packages = _WholeInterfaces(self.backend).to_intermediate()
        return packages

    def to_intermediate_loop(self, block: dict[str, Any], result: Packages, index: int | None = None) -> Packages:
        """Add the blocks of one interface to the result."""
        convert = super().to_intermediate_loop

        def alone() -> list[Block]:
            blocks: list[Block] = convert(block, {"network": []}, index)["network"]
            return blocks

        if self._independent:
            name_servers = [self.netjson.get("dns_servers"), self.netjson.get("dns_search")]
            wired = {key: value for key, value in block.items() if key != "wireless"}
            blocks = self.backend.conversions.get(encoded([self.dsa, name_servers, wired]), alone)
        else:
            blocks = alone()
        if blocks:
            result["network"] = result.get("network", []) + blocks
        return result


class CustomSections(Converter, library.Default):
    """Sections that the library does not know: UCI packages of the user's own."""

    @classmethod
    def decided_by(cls, backend: Any) -> Any:
        """Those sections: all of them decide the order of the packages."""
        known = backend.schema["properties"]
        return {name: section for name, section in backend.config.items() if name not in known}

    def to_intermediate(self) -> Packages:
        """The blocks by package. What is not a block is left out before the library prints it to the console."""
        self.netjson: dict[str, Any] = {
            name: [dict(item) for item in section if isinstance(item, dict) and "config_name" in item]
            for name, section in self.backend.config.items()
            if isinstance(section, list)
        }
        return {name: [Block(block) for block in blocks] for name, blocks in super().to_intermediate().items()}
