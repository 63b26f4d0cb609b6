"""UCI text, as netjsonconfig's jinja templates print it, ten times faster."""

from __future__ import annotations

from collections.abc import Iterable

from netjsonconfig.backends.openwrt.renderer import OpenWrtRenderer

from .converters import Block


class UciRenderer(OpenWrtRenderer):
    """Prints the intermediate data of a backend: packages of blocks of options."""

    quote = ""
    """What stands around the types of blocks and the names of options."""

    def render(self) -> str:
        """The text of all packages, tidied by the library's own ``cleanup``."""
        parts: list[str] = []
        for package, blocks in self.backend.intermediate_data.items():
            parts.append(f"package {package}\n\n")
            parts.extend(block.text or self._print(block) for block in blocks)
            parts.append("\n")
        text: str = self.cleanup("".join(parts))
        return text

    def _print(self, block: Block) -> str:
        quote = self.quote
        lines = [f"config {quote}{block['.type']}{quote} '{block['.name']}'\n"]
        for key, value in block.items():
            if value is None or value == "" or key.startswith("."):
                continue
            if isinstance(value, str):
                lines.append(f"option {quote}{key}{quote} '{value}'\n")
            elif isinstance(value, Iterable):
                lines.extend(f"list {quote}{key}{quote} '{item}'\n" for item in value)
            else:
                number = int(value) if isinstance(value, bool) else value
                lines.append(f"option {quote}{key}{quote} '{number}'\n")
        lines.append("\n")
        block.text = "".join(lines)
        return block.text


class LegacyUciRenderer(UciRenderer):
    """The same with everything quoted, which is how the OpenWISP 1.x firmware wants it."""

    quote = "'"
