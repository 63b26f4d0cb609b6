"""VPN servers: ``/api/v1/controller/vpn/``."""

from __future__ import annotations

import re
import secrets
import string
import uuid
from typing import Annotated, Any

import sqlalchemy as sa
from pyramid.request import Request
from pyramid.response import Response
from typing_extensions import override

from guywire.api import fields, filters
from guywire.api.archives import ARCHIVE, archive_response
from guywire.api.base import UUID_PATTERN, register
from guywire.api.guarded import Guarded
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.api.shared_names import require_unique_name
from guywire.api.shown import inserted_after
from guywire.errors import MODEL, Conflict, Invalid, PermissionDenied
from guywire.interfaces import ConfigurationInvalid, JSONObject, VpnBackend
from guywire.models import Config, Device, Organization, Template, Vpn, VpnArchive, VpnClient, VpnState
from guywire.services import vpn_clients, vpn_servers, vpn_webhooks
from guywire.services.devices import key_errors

PATH = "/api/v1/controller/vpn/"
IN_USE = "Backend cannot be changed because the VPN is currently in use."
ORGANIZATION_MISMATCH = "The VPN server is in use by templates of another organization."
BLANK = "This field cannot be blank."
# It stands in files of several formats, in which anything of these would end it.
_HOST = fields.matching(re.compile(r"[^'\"\\\x00-\x1f\x7f]*"), "Enter a host name or an IP address.")
_NAMED = 5
"""How many of those who use a server are named."""


class VpnBody(Schema):
    """A VPN server's fields."""

    name: Annotated[str, fields.text(64)]
    organization: Annotated[uuid.UUID | None, fields.reference(Organization, null=True)] = None
    host: Annotated[str, fields.text(64, rules=(_HOST,), help="Name or address by which clients reach the server.")]
    key: Annotated[
        str,
        # Twice, because the reference says it twice.
        fields.text(64, blank=True, rules=(key_errors, key_errors), help="What the server polls with; empty: made."),
    ] = ""
    backend: Annotated[str, fields.choice(lambda registry: registry.vpn_backend_labels, label="VPN backend")]
    config: Annotated[JSONObject, fields.json_object(fields.NOT_A_CONFIGURATION, help="NetJSON of the server.")]
    webhook_endpoint: Annotated[
        str | None, fields.url(null=True, blank=True, help="Is told when the server's configuration has changed.")
    ] = None
    auth_token: Annotated[str | None, fields.text(128, null=True, blank=True, help="Sent to the webhook.")] = None
    notes: Annotated[str, fields.text(blank=True)] = ""


_SHOWN = {
    "id": Vpn.id,
    "name": Vpn.name,
    "host": Vpn.host,
    "organization": Vpn.organization_id,
    "key": Vpn.key,
    "backend": Vpn.backend,
    "notes": Vpn.notes,
    "config": Vpn.config,
    "created": Vpn.created,
    "modified": Vpn.modified,
}
_SHOWN_IN_DETAIL = inserted_after(
    _SHOWN, "backend", {"webhook_endpoint": Vpn.webhook_endpoint, "auth_token": Vpn.auth_token}
)


@register(PATH)
class VpnResource(Guarded):
    """VPN servers: templates make devices their clients. Without organization a server is shared by all of them."""

    model = Vpn
    schema = VpnBody
    kind = "vpn"
    label = "Vpn"
    force = "Delete the server although it has clients; their certificates are revoked."
    shared = True
    secrets = ("key", "auth_token")
    shown = _SHOWN
    shown_in_detail = _SHOWN_IN_DETAIL
    shown_when_new = _SHOWN_IN_DETAIL
    filters = {  # noqa: RUF012
        **filters.organization(Vpn.organization_id),
        "backend": filters.choice(Vpn.backend.__eq__, lambda registry: registry.vpn_backend_labels),
    }

    @override
    def create(self, fields: dict[str, Any]) -> Vpn:
        vpn = Vpn(id=uuid.uuid4(), created=self.now, key="")
        self._apply(vpn, {"notes": "", **fields})
        self.session.add(vpn)
        return vpn

    @override
    def update(self, row: Vpn, fields: dict[str, Any]) -> None:
        before, webhook = _content(row), _webhook(row)
        backend = fields.get("backend", row.backend)
        if backend != row.backend:
            self._replace_backend(row)
        self._apply(row, fields)
        self._refuse_strangers(row)
        if _webhook(row) != webhook:
            vpn_webhooks.forget(self.session, row.id)
        if _content(row) != before:
            self.session.flush()
            vpn_servers.mark_changed(self.session, [row.id])

    @override
    def settle(self, row: Vpn, added: dict[str, Any]) -> None:
        self._backend(row.backend).provision(self.session, row, self.now)
        if added:
            vpn_servers.mark_changed(self.session, [row.id])

    @override
    def delete(self, row: Vpn) -> None:
        if not self.is_forced:
            self._refuse_if_used(row)
        vpn_clients.release(self.session, self.runtime.registry, VpnClient.vpn_id == row.id, self.now)
        vpn_servers.remove(self.session, self.runtime.registry, row, self.now)

    def _apply(self, vpn: Vpn, given: dict[str, Any]) -> None:
        """Set the given fields and check the result as a whole, in the reference's order."""
        for name, value in given.items():
            if name in ("webhook_endpoint", "auth_token"):
                value = value or None
            setattr(vpn, "organization_id" if name == "organization" else name, value)
        if not vpn.key:
            alphabet = string.ascii_letters + string.digits
            vpn.key = "".join(secrets.choice(alphabet) for _ in range(32))
        vpn.modified = self.now
        require_unique_name(self.session, vpn, "vpn")
        try:
            self._backend(vpn.backend).validate(vpn.config)
        except ConfigurationInvalid as invalid:
            blank: dict[str, Any] = {} if vpn.config else {"config": [BLANK]}
            raise Invalid({**blank, MODEL: [str(invalid)]}) from None

    def _backend(self, id: str) -> VpnBackend:
        backend = self.runtime.registry.vpn_backends.get(id)
        if backend is None:
            raise Invalid({"backend": [f'The backend "{id}" is not available; is its plugin installed and enabled?']})
        return backend

    def _replace_backend(self, vpn: Vpn) -> None:
        if self.session.scalar(sa.select(VpnClient.id).where(VpnClient.vpn_id == vpn.id).limit(1)) is not None:
            raise Invalid({"backend": [IN_USE]})
        former = self.runtime.registry.vpn_backends.get(vpn.backend)
        if former is not None:
            former.release(self.session, vpn, self.now)

    def _refuse_strangers(self, vpn: Vpn) -> None:
        """A server may not leave templates behind that it must not belong to."""
        if vpn.organization_id is None:
            return
        stranger = sa.select(Template.id).where(
            Template.vpn_id == vpn.id, Template.organization_id.is_distinct_from(vpn.organization_id)
        )
        with self.session.no_autoflush:
            if self.session.scalar(stranger.limit(1)) is not None:
                raise Invalid({"organization": [ORGANIZATION_MISMATCH]})

    def _refuse_if_used(self, vpn: Vpn) -> None:
        devices = sa.select(Device.name).join(Config, Config.device_id == Device.id)
        clients = devices.join(VpnClient, VpnClient.config_id == Config.id).where(VpnClient.vpn_id == vpn.id)
        refuse_if_any(self.session, clients, f'The VPN server "{vpn.name}"')


def refuse_if_any(session: Any, devices: Any, what: str) -> None:
    """Refuse to delete what devices use; ``devices`` is a SELECT of their names. Raises Conflict."""
    names = session.scalars(devices.order_by(Device.name).limit(_NAMED + 1)).all()
    if names:
        listed = ", ".join(names[:_NAMED]) + (" and others" if len(names) > _NAMED else "")
        raise Conflict(f"{what} is in use by the devices {listed}. With ?force=true it is deleted all the same.")


def _content(vpn: Vpn) -> tuple[Any, ...]:
    """What the files of the server and of its clients are made of."""
    return vpn.name, vpn.host, vpn.backend, str(vpn.config)


def _webhook(vpn: Vpn) -> tuple[str | None, str | None]:
    return vpn.webhook_endpoint, vpn.auth_token


configuration = APIService(
    name="vpn_configuration",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/configuration/",
    title="Configuration of a VPN server",
    description="The archive of the server's files.",
)


@configuration.get(operation=Operation(permission="view_vpn", guarded=True, sends=ARCHIVE))
def download_configuration(request: Request) -> Response:
    """The archive that the server fetches, as its last change left it. It holds the server's private key."""
    resource = VpnResource(request)
    vpn = resource.row()
    if not resource.identity.manages(vpn.organization_id):
        raise PermissionDenied()
    runtime, session = resource.runtime, resource.session
    state = session.get_one(VpnState, vpn.id)
    if state.inputs_version != state.rendered_version:
        vpn_servers.refresh(runtime.session_factory, runtime.registry, runtime.settings.context, [vpn.id])
        session.rollback()
        session.expire_all()
    found = session.get(VpnArchive, vpn.id)
    if found is None:
        raise Invalid({MODEL: [session.get_one(VpnState, vpn.id).render_error or ""]})
    return archive_response(vpn.name, found.archive)
