"""Templates: ``/api/v1/controller/template/``."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
import sqlalchemy as sa
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire.api import fields, filters
from guywire.api.archives import ARCHIVE, archive_response
from guywire.api.base import UUID_PATTERN, Resource, register
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.api.shared_names import require_unique_name
from guywire.api.shown import Loaded
from guywire.api.vpn import refuse_if_any
from guywire.errors import MODEL, FieldErrors, Invalid
from guywire.interfaces import ConfigurationInvalid, JSONObject
from guywire.models import (
    Config,
    ConfigTemplate,
    Device,
    DeviceGroup,
    DeviceGroupTemplate,
    Organization,
    Template,
    TemplateTag,
    Vpn,
)
from guywire.renderer import template_context
from guywire.services import vpn_servers
from guywire.services.status import dependents_of_template, mark_stale
from guywire.services.templates import add_to_existing, claim_organization

EMPTY_CONFIGURATION = "The configuration field cannot be empty."
NO_SERVER = 'A VPN must be selected when template type is "VPN"'
NOT_A_CLIENT = "To select a VPN, set the template type to 'VPN-client'"
SERVER_MISMATCH = (
    "Please ensure that the organization of this template and the organization of the related VPN server match."
)
TYPES = {"generic": "Generic", "vpn": "VPN-client"}
PATH = "/api/v1/controller/template/"
_COLUMNS = {"organization": "organization_id", "vpn": "vpn_id"}


class TemplateBody(Schema):
    """A template's fields."""

    name: Annotated[str, fields.text(64)]
    organization: Annotated[uuid.UUID | None, fields.reference(Organization, null=True)] = None
    type: Annotated[str, fields.choice(lambda registry: TYPES)] = "generic"
    backend: Annotated[str, fields.choice(lambda registry: registry.backend_labels)]
    vpn: Annotated[
        uuid.UUID | None, fields.reference(Vpn, null=True, help="The server whose clients the template makes.")
    ] = None
    default: Annotated[bool, fields.boolean(help="All devices of the backend get it, and may be without it.")] = False
    required: Annotated[bool, fields.boolean(help="All devices of the backend get it and cannot be without it.")] = (
        False
    )
    notes: Annotated[str, fields.text(blank=True)] = ""
    default_values: Annotated[JSONObject, fields.json_object(empty=True)] = {}  # noqa: RUF012 (pydantic copies defaults)
    config: Annotated[JSONObject, fields.json_object(fields.NOT_A_CONFIGURATION)] = {}  # noqa: RUF012


def _tags(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    tags: dict[uuid.UUID, list[str]] = defaultdict(list)
    query = sa.select(TemplateTag).where(TemplateTag.template_id.in_(ids)).order_by(TemplateTag.name)
    for tag in session.scalars(query):
        tags[tag.template_id].append(tag.name)
    return tags


@register(PATH)
class TemplateResource(Resource):
    """Templates: configuration that devices share. Without organization a template is shared by all of them."""

    model = Template
    schema = TemplateBody
    kind = "template"
    label = "Template"
    force = "Delete the template although devices are clients of a VPN server by it."
    shared = True
    shown = {  # noqa: RUF012
        "id": Template.id,
        "name": Template.name,
        "organization": Template.organization_id,
        "type": Template.type,
        "backend": Template.backend,
        "vpn": Template.vpn_id,
        "tags": Loaded(_tags, {"type": "array", "items": {"type": "string"}}, default=[]),
        "default": Template.default,
        "required": Template.required,
        "notes": Template.notes,
        "default_values": Template.default_values,
        "config": Template.config,
        "created": Template.created,
        "modified": Template.modified,
    }
    filters = {  # noqa: RUF012
        **filters.organization(Template.organization_id),
        "backend": filters.choice(Template.backend.__eq__, lambda registry: registry.backend_labels),
        "type": filters.choice(Template.type.__eq__, lambda registry: TYPES),
        "default": filters.yes_no(Template.default.is_),
        "required": filters.yes_no(Template.required.is_),
        **filters.moments("created", Template.created),
    }

    @override
    def create(self, fields: dict[str, Any]) -> Template:
        template = Template(id=uuid.uuid4(), created=self.now, modified=self.now, default_values={}, config={})
        template.default = template.required = False
        template.type, template.auto_cert = "generic", fields.pop("auto_cert", True)
        self._apply(template, fields)
        self.session.add(template)
        self.session.flush()
        if template.default or template.required:
            add_to_existing(self.session, template)
        return template

    @override
    def update(self, row: Template, fields: dict[str, Any]) -> None:
        before, reach = _content(row), _Reach.of(row)
        wanted = reach.after(fields)
        if wanted.exceeds(reach):
            # Before anything is written: who makes a device holds the organization first, too.
            claim_organization(self.session, wanted.organization_id)
        self._apply(row, fields)
        row.modified = self.now
        self._refuse_strangers(row)
        self.session.flush()
        if wanted.exceeds(reach):
            add_to_existing(self.session, row)
        elif _content(row) != before:
            mark_stale(self.session, dependents_of_template(row.id))

    @override
    def delete(self, row: Template) -> None:
        if row.vpn_id is not None and not self.is_forced:
            users = sa.select(Device.name).join(Config, Config.device_id == Device.id)
            users = users.where(Config.id.in_(dependents_of_template(row.id)))
            refuse_if_any(self.session, users, f'The template "{row.name}", which makes clients of a VPN server,')
        mark_stale(self.session, dependents_of_template(row.id))
        super().delete(row)

    def _apply(self, template: Template, given: dict[str, Any]) -> None:
        """Set the given fields and check the result as a whole, in the reference's order."""
        given = {_COLUMNS.get(name, name): value for name, value in given.items()}
        errors: FieldErrors = {}
        # The reference asks for these under their own names only when the type is given with them.
        if given.get("type") == "generic" and given.get("config") == {}:
            errors["config"] = [EMPTY_CONFIGURATION]
        if given.get("type") == "generic" and given.get("vpn_id") is not None:
            errors["vpn"] = [NOT_A_CLIENT]
        if errors:
            raise Invalid(errors)
        former = self._server(template)
        for name, value in given.items():
            setattr(template, name, value)
        require_unique_name(self.session, template, "template")
        if template.type != "vpn":
            template.vpn_id = None
        server = self._server(template)
        if template.type == "vpn":
            self._require_server(template, server)
        if server is not None:
            self._fill_in(template, server, former)
        if not template.config:
            raise Invalid({MODEL: [EMPTY_CONFIGURATION]})
        self._require_renderable(template, self.server_variables(server))

    def _server(self, template: Template) -> Vpn | None:
        with self.session.no_autoflush:
            return None if template.vpn_id is None else self.session.get(Vpn, template.vpn_id)

    def _require_server(self, template: Template, server: Vpn | None) -> None:
        if server is None:
            raise Invalid({"vpn": [NO_SERVER]})
        if server.organization_id not in (None, template.organization_id):
            raise Invalid({"organization": [SERVER_MISMATCH]})

    def _fill_in(self, template: Template, server: Vpn, former: Vpn | None) -> None:
        """Make the configuration of a client where there is none, and anew where it was made for another server."""
        made_for_former = (
            former is not None and former is not server and template.config == self._client_config(template, former)
        )
        if not template.config or made_for_former:
            template.config = self._client_config(template, server)

    def _client_config(self, template: Template, server: Vpn) -> JSONObject:
        backend = self.runtime.registry.vpn_backends.get(server.backend)
        return {} if backend is None else backend.client_config(self.session, server, template.auto_cert)

    def server_variables(self, server: Vpn | None) -> JSONObject:
        """What a template knows of the server whose clients it makes."""
        if server is None:
            return {}
        with self.session.no_autoflush:
            return vpn_servers.variables(self.session, self.runtime.registry, [server])[server.id]

    def _require_renderable(self, template: Template, of_server: JSONObject) -> None:
        context = template_context(template.default_values, self.runtime.settings.context, of_server)
        try:
            self.runtime.renderer.validate(template.backend, template.config, context)
        except ConfigurationInvalid as invalid:
            raise Invalid({MODEL: [str(invalid)]}) from None

    def _refuse_strangers(self, template: Template) -> None:
        """A template may not leave devices and groups behind that it must not belong to."""
        if template.organization_id is None:
            return
        stranger = self.session.scalar(
            sa.select(Device.id)
            .join(Config, Config.device_id == Device.id)
            .join(ConfigTemplate, ConfigTemplate.config_id == Config.id)
            .where(ConfigTemplate.template_id == template.id, Device.organization_id != template.organization_id)
            .limit(1)
        )
        if stranger is not None:
            raise Invalid({"organization": ["The template is in use by devices of another organization."]})
        group = (
            sa.select(DeviceGroup.id)
            .join(DeviceGroupTemplate, DeviceGroupTemplate.group_id == DeviceGroup.id)
            .where(DeviceGroupTemplate.template_id == template.id)
            .where(DeviceGroup.organization_id != template.organization_id)
        )
        if self.session.scalar(group.limit(1)) is not None:
            raise Invalid({"organization": ["The template is in use by device groups of another organization."]})


@dataclass(frozen=True, slots=True)
class _Reach:
    """Which devices have a template without being told to."""

    required: bool
    default: bool
    organization_id: uuid.UUID | None
    backend: str

    @classmethod
    def of(cls, template: Template) -> _Reach:
        return cls(template.required, template.default, template.organization_id, template.backend)

    def after(self, given: dict[str, Any]) -> _Reach:
        """The reach once the given fields are set."""
        return _Reach(
            given.get("required", self.required),
            given.get("default", self.default),
            given.get("organization", self.organization_id),
            given.get("backend", self.backend),
        )

    def exceeds(self, before: _Reach) -> bool:
        """Whether there may be devices that should have the template now and did not have to have it before."""
        if (self.organization_id, self.backend) != (before.organization_id, before.backend):
            return self.required or self.default
        return self.required > before.required or self.default > before.default


def _content(template: Template) -> bytes:
    """What devices render of a template. As bytes: Python takes 1 for true, and keys in another order for the same."""
    return orjson.dumps([template.config, template.default_values, template.vpn_id])


configuration = APIService(
    name="template_configuration",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/configuration/",
    description="The archive that this template renders to by itself.",
)


@configuration.get(operation=Operation(permission="view_template", sends=ARCHIVE))
def download_template(request: Request) -> Response:
    """The archive of a template alone, with its own variables."""
    resource = TemplateResource(request)
    template = resource.row()
    server = None if template.vpn_id is None else resource.session.get(Vpn, template.vpn_id)
    try:
        archive = resource.runtime.renderer.render_template(template, resource.server_variables(server))
    except ConfigurationInvalid as invalid:
        # It was valid when it was saved: the global variables, or the backend, are other ones now.
        raise Invalid({MODEL: [str(invalid)]}) from None
    return archive_response(template.name, archive)
