"""Credentials: ``/api/v1/controller/credential/``, and ``/api/v1/connection/credential/`` by an older name."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api import fields
from guywire.api.base import Resource, register
from guywire.api.schema import Schema
from guywire.api.shared_names import require_unique_name
from guywire.errors import Invalid
from guywire.interfaces import Connector
from guywire.models import Device, Organization
from guywire.plugin import notify
from typing_extensions import override

from guywire_ssh_connection.models import Credentials, DeviceConnection
from guywire_ssh_connection.services import params, pushing
from guywire_ssh_connection.services.spreading import CredentialsSpreading

IN_USE_ELSEWHERE = "Devices of another organization have these credentials."


class CredentialsBody(Schema):
    """The fields of credentials."""

    connector: Annotated[
        str,
        fields.choice(
            lambda registry: {each.id: each.label for each in registry.connectors.values()}, label="Connection type"
        ),
    ]
    name: Annotated[str, fields.text(64)]
    organization: Annotated[uuid.UUID | None, fields.reference(Organization, null=True)] = None
    auto_add: Annotated[
        bool,
        fields.boolean(
            help="Add these credentials to all devices of the organization (or of all, if they are shared)."
        ),
    ] = False
    params: Annotated[
        Any, fields.json_object(None, help="What the connector needs, such as a user name and a password.")
    ]


@register("/api/v1/connection/credential/", prefix="connection_credentials")
@register("/api/v1/controller/credential/")
class CredentialsResource(Resource):
    """What is needed to log in to devices. Secrets are shown to those who may change them."""

    model = Credentials
    schema = CredentialsBody
    kind = "credentials"
    label = "Credentials"
    shared = True
    shown = {  # noqa: RUF012
        "id": Credentials.id,
        "connector": Credentials.connector,
        "name": Credentials.name,
        "organization": Credentials.organization_id,
        "auto_add": Credentials.auto_add,
        "params": Credentials.params,
        "created": Credentials.created,
        "modified": Credentials.modified,
    }

    @override
    def create(self, fields: dict[str, Any]) -> Credentials:
        row = Credentials(id=uuid.uuid4(), created=self.now, params={})
        self._apply(row, {"auto_add": False, **fields})
        self.session.add(row)
        return row

    @override
    def update(self, row: Credentials, fields: dict[str, Any]) -> None:
        before = row.connector, row.params
        self._apply(row, fields)
        self._refuse_strangers(row)
        if (row.connector, row.params) != before:
            served = sa.select(DeviceConnection.device_id).where(DeviceConnection.credentials_id == row.id)
            pushing.try_again(self.session, served)

    @override
    def settle(self, row: Credentials, added: dict[str, Any]) -> None:
        if row.auto_add:
            row.is_spreading = True
            notify(self.session, CredentialsSpreading(row.id))

    def _apply(self, row: Credentials, given: dict[str, Any]) -> None:
        if "params" in given:
            connector = self._connector(given.get("connector", row.connector))
            given = given | {"params": params.unmasked(connector, given["params"], row.params)}
        for name, value in given.items():
            setattr(row, "organization_id" if name == "organization" else name, value)
        row.modified = self.now
        require_unique_name(self.session, row, "credentials", "name, organization")
        connector = self._connector(row.connector)
        if connector is not None:
            params.check(connector, row.params)

    def _connector(self, id: str) -> Connector | None:
        return self.runtime.registry.connectors.get(id)

    @override
    def present(self, body: dict[str, Any]) -> dict[str, Any]:
        """A body without the secrets, for those who may only look."""
        if self.identity.has_permission("change", self.kind) and self.identity.manages(body["organization"]):
            return body
        return {**body, "params": params.masked(self._connector(body["connector"]), body["params"])}

    def _refuse_strangers(self, row: Credentials) -> None:
        """Credentials may not change hands while devices have them that must not."""
        if row.organization_id is None:
            return
        stranger = (
            sa.select(DeviceConnection.id)
            .join(Device, Device.id == DeviceConnection.device_id)
            .where(DeviceConnection.credentials_id == row.id, Device.organization_id != row.organization_id)
        )
        with self.session.no_autoflush:
            if self.session.scalar(stranger.limit(1)) is not None:
                raise Invalid({"organization": [IN_USE_ELSEWHERE]})
