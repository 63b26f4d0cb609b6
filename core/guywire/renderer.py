"""Turns the inputs of a configuration into an archive, or into the error that prevents it. Touches no database."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from typing import Any

import orjson

from guywire import archive
from guywire.interfaces import ArchiveFile, ConfigBackend, ConfigurationInvalid, JSONObject, Secret
from guywire.models import Template
from guywire.registry import Registry
from guywire.tracebacks import traceback_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that decides the bytes of one configuration, and the version of it that was read."""

    config_id: uuid.UUID
    device_id: uuid.UUID
    version: int
    known_digest: str | None
    backend: str
    config: JSONObject
    templates: list[JSONObject]
    template_ids: list[uuid.UUID]
    context: JSONObject
    device_os: str


@dataclass(frozen=True, slots=True)
class Rendering:
    """What rendering ``inputs`` gave: an uncompressed archive and its digest, or an error."""

    inputs: Inputs
    tar: bytes | None = None
    packed: bytes | None = None
    """the archive as it is to be stored, unless its digest is the one that was known before"""
    digest: str | None = None
    error: str | None = None
    error_path: tuple[str | int, ...] = ()
    error_template_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Renderer:
    """The backends of the plugins and the global variables. A backend may be a stranger's: whatever it raises is an
    error of the configuration, never of the request or the poll that happened to need it.
    """

    registry: Registry
    global_context: JSONObject

    @property
    def backends(self) -> dict[str, ConfigBackend]:
        """The backends of configurations, by id."""
        return self.registry.config_backends

    def fingerprint(self) -> str:
        """What else decides the bytes of all archives: the versions of the code and the global variables."""
        backends = (*self.backends.values(), *self.registry.vpn_backends.values())
        packages = {type(backend).__module__.partition(".")[0] for backend in backends}
        installed = packages_distributions()
        distributions = {"guywire", "netjsonconfig"}.union(*(installed.get(package, ()) for package in packages))
        versions = {name: version(name) for name in sorted(distributions)}
        facts = [versions, sorted(self.backends), self.global_context]
        return hashlib.sha256(orjson.dumps(facts)).hexdigest()

    def validate(
        self,
        backend_id: str,
        config: JSONObject,
        context: Mapping[str, Any],
        templates: Sequence[JSONObject] = (),
        device_os: str = "",
    ) -> None:
        """Raise ConfigurationInvalid when the backend cannot render this."""
        with self._backend(backend_id, context) as backend:
            backend.validate(config, templates, context, device_os)

    def files(
        self,
        backend_id: str,
        config: JSONObject,
        context: Mapping[str, Any],
        templates: Sequence[JSONObject] = (),
        device_os: str = "",
    ) -> list[ArchiveFile]:
        """The files of a configuration. Raises ConfigurationInvalid."""
        with self._backend(backend_id, context) as backend:
            return backend.render(config, templates, context, device_os)

    def render(self, inputs: Inputs) -> Rendering:
        """Turn inputs into an archive, or into the error and the template that it comes from."""
        try:
            tar = self._packed(inputs.backend, inputs.config, inputs.context, inputs.templates, inputs.device_os)
        except ConfigurationInvalid as invalid:
            culprit = self._culprit(inputs)
            return Rendering(inputs, error=str(invalid), error_path=invalid.path, error_template_id=culprit)
        digest = hashlib.sha256(tar).hexdigest()
        packed = None if digest == inputs.known_digest else archive.compress(tar)
        return Rendering(inputs, tar=tar, packed=packed, digest=digest)

    def render_template(self, template: Template, of_server: Mapping[str, Any]) -> bytes:
        """The archive (tar.gz) of a template alone, with its own variables and those of its VPN server.

        Raises ConfigurationInvalid.
        """
        context = template_context(template.default_values, self.global_context, of_server)
        return archive.compress(self._packed(template.backend, template.config, context))

    def _packed(
        self,
        backend_id: str,
        config: JSONObject,
        context: Mapping[str, Any],
        templates: Sequence[JSONObject] = (),
        device_os: str = "",
    ) -> bytes:
        # Whether the files can be packed is the backend's business too.
        with self._backend(backend_id, context) as backend:
            return archive.pack(backend.render(config, templates, context, device_os))

    @contextmanager
    def _backend(self, backend_id: str, context: Mapping[str, Any]) -> Iterator[ConfigBackend]:
        """The backend, whose errors do not quote the secrets among the variables."""
        backend = self.backends.get(backend_id)
        if backend is None:
            message = f'The backend "{backend_id}" is not available; is its plugin installed and not blocked?'
            raise ConfigurationInvalid(message)
        try:
            yield backend
            return
        except ConfigurationInvalid as error:
            invalid = error
        except Exception as error:  # noqa: BLE001 (whatever a stranger raises)
            log.error("the backend %s failed unexpectedly\n%s", backend_id, traceback_of(error))
            invalid = ConfigurationInvalid(f'The backend "{backend_id}" failed: {error!r}')
        raise invalid.hiding(value for value in context.values() if isinstance(value, Secret))

    def _culprit(self, inputs: Inputs) -> uuid.UUID | None:
        """The first template with which the layers below it do not go together, or None: the device's own layer."""
        for count in range(1, len(inputs.templates) + 1):
            try:
                self._packed(inputs.backend, {}, inputs.context, inputs.templates[:count], inputs.device_os)
            except ConfigurationInvalid:
                return inputs.template_ids[count - 1] if inputs.backend in self.backends else None
        return None


def with_hostname(config: JSONObject, device_name: str) -> JSONObject:
    """``config`` with the device's name as ``general.hostname``, unless it names one itself."""
    general = config.get("general")
    if not isinstance(general, dict):
        if general is not None:
            return config
        general = {}
    if "hostname" in general:
        return config
    return {**config, "general": {**general, "hostname": device_name.replace(":", "-")}}


def template_context(
    default_values: Mapping[str, Any], global_context: Mapping[str, Any], of_server: Mapping[str, Any] = {}
) -> JSONObject:
    """The variables that a template is validated and downloaded with: those of a device are not known.

    ``of_server`` are those of the VPN server whose clients it makes.
    """
    return {**default_values, **of_server, **global_context}
