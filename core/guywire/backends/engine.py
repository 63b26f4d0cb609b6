"""netjsonconfig's two router backends, fast: the steps that they inherit from ``BaseBackend`` are done here instead.

An engine inherits from a backend of the library first and from ``Engine`` second. So the library's code for routers
runs unchanged, and wherever it calls ``super()`` it finds ``Engine`` before ``BaseBackend``.
"""

from __future__ import annotations

from typing import Any

import netjsonconfig
from jinja2 import Environment, PackageLoader
from jsonschema import ValidationError as SchemaError
from netjsonconfig.backends.base.backend import BaseBackend
from netjsonconfig.exceptions import ValidationError
from netjsonconfig.utils import merge_config

from guywire.interfaces import ArchiveFile, ConfigurationInvalid

from .converters import Packages, accelerated, merged_blocks
from .layers import Section, Shared, encoded, filled_in, parsed
from .memo import Memo
from .refusals import STUMBLES, culprit, explanation
from .uci import LegacyUciRenderer, UciRenderer
from .validation import SchemaCheck

# Bytes of JSON; what is remembered takes some ten times as much. Enough for hundreds of sets of templates. More would
# not be faster: the garbage collector has to look at all of it.
_BUDGET = 1024 * 1024


class Engine(BaseBackend):
    """One configuration on its way to files: made, used once and thrown away by one thread."""

    check: SchemaCheck
    merged_templates: Memo[Shared]
    conversions: Memo[Any]

    def _merge_config(self, config: Any, templates: list[Any]) -> Any:
        """The layers, merged by the library. A fleet shares its templates, so they are merged once."""
        if not templates:
            return config

        def merged() -> Shared:
            *weaker, strongest = (self._load(parsed(encoded(template))) for template in templates)
            return Shared(super(Engine, self)._merge_config(strongest, weaker))

        base = self.merged_templates.get(encoded(templates), merged)
        return merge_config(base, config, self._get_merge_config_identifiers(config))

    def _evaluate_vars(self, config: Any, context: Any) -> dict[str, Any]:
        sections = filled_in(config, context or {})
        return {name: Section(value) if isinstance(value, list) else value for name, value in sections.items()}

    def validate(self) -> None:
        """The step of the schema and of the file paths. Raises what the library would raise."""
        self._drop_repeated_files()
        if not self.check.accepts(self.config):
            super().validate()
            return
        try:
            self._validate_file_paths()
        except SchemaError as error:
            raise ValidationError(error) from error

    def _drop_repeated_files(self) -> None:
        """Two templates may bring the same file, of the CA of two VPN servers for instance. The library refuses it."""
        files = self.config.get("files")
        if isinstance(files, list) and len(files) > 1:
            different = {encoded(file): file for file in reversed(files)}
            if len(different) < len(files):
                self.config["files"] = list(reversed(different.values()))

    def render(self, files: bool = True) -> str:
        """The UCI text of a configuration that has been validated."""
        self.to_intermediate()
        self._deduplicate_files()
        text: str = self.renderer(self).render()
        return text

    def to_intermediate(self) -> None:
        """UCI blocks by package. (The library would copy the blocks of all packages after each converter.)"""
        self.intermediate_data: Packages = {}
        for converter in self.converters:
            if not converter.should_run_forward(self.config):
                continue
            for package, blocks in self._converted(converter).items():
                known = self.intermediate_data.get(package)
                self.intermediate_data[package] = blocks if known is None else merged_blocks(known, blocks)

    def _converted(self, converter: Any) -> Packages:
        """What a converter makes of this configuration, or made of another one that is the same to it."""

        def convert() -> Packages:
            packages: Packages = converter(self).to_intermediate()
            return packages

        inputs = converter.decided_by(self)
        try:
            if inputs is None:
                return convert()
            packages: Packages = self.conversions.get(encoded([converter.__name__, self.dsa, inputs]), convert)
            return packages
        except STUMBLES as stumble:
            raise ConfigurationInvalid(explanation(stumble), culprit(self, converter)) from stumble

    def archive_files(self) -> list[ArchiveFile]:
        """The files of a configuration that has been validated, in the order of the archive."""
        files: list[ArchiveFile] = []
        self._generate_contents(files)
        self._process_files(files)
        return files

    def _add_file(self, tar: list[ArchiveFile], name: str, contents: str, mode: str = "0644") -> None:
        """What the library calls for each file, with our list for its tar. It would count characters as bytes."""
        tar.append(ArchiveFile(name, contents.encode(), int(mode, 8)))


class OpenWrtEngine(netjsonconfig.OpenWrt, Engine):
    """The engine for OpenWrt."""

    check = SchemaCheck(netjsonconfig.OpenWrt.schema)
    merged_templates = Memo(_BUDGET)
    conversions = Memo(_BUDGET)
    converters = accelerated(netjsonconfig.OpenWrt.converters)
    renderer = UciRenderer


class OpenWispEngine(netjsonconfig.OpenWisp, Engine):
    """The engine for the OpenWISP 1.x firmware."""

    check = SchemaCheck(netjsonconfig.OpenWisp.schema)
    merged_templates = Memo(_BUDGET)
    conversions = Memo(_BUDGET)
    converters = accelerated(netjsonconfig.OpenWisp.converters)
    renderer = LegacyUciRenderer
    scripts = Environment(loader=PackageLoader("netjsonconfig.backends.openwisp"), trim_blocks=True)  # noqa: S701

    def _render_template(self, template: str, context: dict[str, Any] | None = None) -> str:
        return self.scripts.get_template(template).render(context or {})
