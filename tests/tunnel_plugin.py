"""A plugin with the smallest VPN there is: each client of a server has a number, and the server lists them.

A server must have a color, which the plugin adds to it; a number that a client gave back is remembered.
"""

import tempfile
import uuid
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

import sqlalchemy as sa
from guywire import hookimpl
from guywire.api import fields, filters
from guywire.api.field_groups import FieldGroup
from guywire.api.schema import Schema
from guywire.db import WRITES
from guywire.errors import Invalid
from guywire.interfaces import ArchiveFile, ConfigurationInvalid, MigrationSource
from guywire.models import Vpn, VpnClient

TUNNEL = "tests.Tunnel"
METADATA = sa.MetaData()

server_table = sa.Table(
    "tunnel_server",
    METADATA,
    sa.Column("vpn_id", sa.Uuid, sa.ForeignKey(Vpn.__table__.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("color", sa.String(20)),
    sa.Column("secret", sa.String(32)),
)
client_table = sa.Table(
    "tunnel_client",
    METADATA,
    # No cascade: a client whose row goes before it was released would make the database complain.
    sa.Column("client_id", sa.Uuid, sa.ForeignKey(VpnClient.__table__.c.id), primary_key=True),
    sa.Column("vpn_id", sa.Uuid, index=True),
    sa.Column("number", sa.Integer),
    sa.Column("made_ahead", sa.Boolean),
)
returned_table = sa.Table(
    "tunnel_returned",
    METADATA,
    sa.Column("client_id", sa.Uuid, primary_key=True),
    sa.Column("number", sa.Integer),
)

_FOLDER = Path(tempfile.mkdtemp(prefix="tunnel"))
(_FOLDER / "versions").mkdir()
(_FOLDER / "versions" / "tunnel_0001.py").write_text('''"""The tables."""

from alembic import op
from tunnel_plugin import METADATA

revision = "tunnel_0001"
down_revision = branch_labels = depends_on = None


def upgrade() -> None:
    METADATA.create_all(op.get_bind())
''')


class Paint(Protocol):
    """Knows which colors there are."""

    def colors(self) -> list[str]: ...


class PaintShop:
    def colors(self):
        return ["red", "blue"]


class Tunnel:
    id: ClassVar = TUNNEL
    label: ClassVar = "Tunnel"
    schema: ClassVar = {"type": "object"}
    requires: ClassVar = (Paint,)
    wants: ClassVar = ()

    def __init__(self, paint):
        self.paint = paint

    def validate(self, config):
        if "places" not in config:
            raise ConfigurationInvalid("'places' is a required property")

    def provision(self, session, vpn, now):
        row = session.execute(sa.select(server_table).where(server_table.c.vpn_id == vpn.id)).first()
        if row is None or row.color is None:
            raise Invalid({"color": ["A color is required."]})
        if row.color not in self.paint.colors():
            raise Invalid({"color": ["There is no such color."]})
        if row.secret is None:
            session.execute(
                sa.update(server_table).where(server_table.c.vpn_id == vpn.id).values(secret=uuid.uuid4().hex)
            )

    def release(self, session, vpn, now):
        session.execute(sa.delete(server_table).where(server_table.c.vpn_id == vpn.id))

    def client_config(self, session, vpn, auto_cert):
        contents = f"{{{{ vpn_host_{vpn.id.hex} }}}} {{{{ color_{vpn.id.hex} }}}} {{{{ number_{vpn.id.hex} }}}}"
        return {"files": [{"path": "/etc/tunnel", "mode": "0600", "contents": contents}]}

    def server_variables(self, session, vpns):
        rows = session.execute(sa.select(server_table).where(server_table.c.vpn_id.in_([vpn.id for vpn in vpns])))
        return {row.vpn_id: {f"color_{row.vpn_id.hex}": row.color} for row in rows}

    def prepare_clients(self, session, vpn, count, outdated):
        # What is made ahead is made while nobody waits for a lock of ours.
        return [not session.connection().get_execution_options().get(WRITES, False)] * count

    def provision_clients(self, session, vpn, clients, prepared, now):
        taken = set(session.scalars(sa.select(client_table.c.number).where(client_table.c.vpn_id == vpn.id)))
        free = [number for number in range(1, vpn.config["places"] + 1) if number not in taken]
        if len(free) < len(clients):
            raise ConfigurationInvalid("all places are taken")
        session.execute(
            sa.insert(client_table),
            [
                {"client_id": client.id, "vpn_id": vpn.id, "number": number, "made_ahead": ahead}
                for client, number, ahead in zip(clients, free, prepared, strict=False)
            ],
        )

    def release_clients(self, session, client_ids, now):
        own = client_table.c.client_id.in_(client_ids)
        given = sa.select(client_table.c.client_id, client_table.c.number).where(own)
        session.execute(sa.insert(returned_table).from_select(["client_id", "number"], given))
        session.execute(sa.delete(client_table).where(own))

    def client_variables(self, session, client_ids):
        rows = session.execute(sa.select(client_table).where(client_table.c.client_id.in_(client_ids)))
        return {row.client_id: {f"number_{row.vpn_id.hex}": str(row.number)} for row in rows}

    def render(self, session, vpn, variables):
        if "broken" in vpn.config:
            raise ConfigurationInvalid("it is broken")
        query = sa.select(client_table.c.number).where(client_table.c.vpn_id == vpn.id)
        numbers = session.scalars(query.order_by(client_table.c.number))
        return [ArchiveFile("tunnel.conf", "".join(f"{number}\n" for number in numbers).encode())]


class Color(Schema):
    color: Annotated[str | None, fields.text(20, null=True, help="What the tunnel is painted with.")] = None


def _load(session, ids):
    rows = session.execute(sa.select(server_table).where(server_table.c.vpn_id.in_(ids)))
    return {row.vpn_id: {"color": row.color, "painted": row.color is not None} for row in rows}


def _save(session, vpn, given, now):
    if vpn.backend != TUNNEL or session.get(Vpn, vpn.id) is None:
        return
    values: dict[str, Any] = dict(given)
    if session.scalar(sa.select(server_table.c.vpn_id).where(server_table.c.vpn_id == vpn.id)) is None:
        session.execute(sa.insert(server_table).values(vpn_id=vpn.id, **values))
    elif values:
        session.execute(sa.update(server_table).where(server_table.c.vpn_id == vpn.id).values(values))


def _of_color(text, context):
    return Vpn.id.in_(sa.select(server_table.c.vpn_id).where(server_table.c.color == text))


@hookimpl
def register_fields():
    return [
        FieldGroup(
            resource="vpn",
            name="tunnel",
            after="backend",
            shown={"color": {"type": ["string", "null"]}, "painted": {"type": "boolean"}},
            load=_load,
            defaults={"painted": False},
            body=Color,
            save=_save,
            filters={"color": filters.Filter(_of_color, fields.text(20))},
        )
    ]


@hookimpl
def config_context(session, config_ids):
    return {id: {"weather": "fair"} for id in config_ids}


@hookimpl
def register_services():
    return {Paint: PaintShop()}


@hookimpl
def register_vpn_backends():
    return [Tunnel]


@hookimpl
def register_migrations():
    return [MigrationSource("tunnel", str(_FOLDER), METADATA)]
