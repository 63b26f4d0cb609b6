"""A fleet whose devices share templates, put straight into a database."""

from __future__ import annotations

import hashlib
import sys
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.models import Config, ConfigState, ConfigTemplate, Device, Template
from guywire.runtime import Runtime
from guywire.services.accounts import create_organization, create_user, token_of
from guywire.services.rendering import mark_all_if_renderer_changed, refresh_all

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from netjson_generator import fleet as cases

BACKEND = "netjsonconfig.OpenWrt"


@dataclass(frozen=True)
class FleetDevice:
    """What a device's requests are made of."""

    id: uuid.UUID
    key: str
    address: str

    def poll(self) -> str:
        """The agent's request for its checksum, as a proxy on this machine passes it on."""
        return (
            f"GET /controller/checksum/{self.id.hex}/?key={self.key} HTTP/1.1\r\n"
            "Host: controller.example.org\r\nUser-Agent: OpenWISP config\r\nAccept: */*\r\n"
            f"X-Forwarded-For: {self.address}\r\nX-Forwarded-Proto: https\r\n\r\n"
        )


@dataclass(frozen=True)
class Fleet:
    """The devices, a template that all of them have, one that only the first have, and a superuser's token."""

    devices: list[FleetDevice]
    template_of_all: uuid.UUID
    template_of_some: uuid.UUID
    token: str

    def polls(self) -> list[str]:
        """The requests of all devices."""
        return [device.poll() for device in self.devices]


def make_fleet(runtime: Runtime, size: int, some: int, *, rendered: bool = True) -> Fleet:
    """Devices that have called from their address before, rendered. All have the three templates of the fleet whose
    renderings are measured, and the first ``some`` have one more. Without ``rendered`` there are no archives, which
    nobody misses who only looks at lists.
    """
    devices = [_device(number) for number in range(size)]
    with writing(runtime.session_factory) as session:
        now = runtime.clock()
        organization = create_organization(session, runtime.key_ring, now, name="Fleet", slug="fleet")
        user = create_user(session, now, username="admin", password=None, is_superuser=True)
        token = token_of(session, runtime.key_ring, user, now)
        dates = {"created": now, "modified": now}
        configurations = cases(size) if rendered else cases(100) * -(-size // 100)
        extra = {"dns_search": ["example.org"]}
        templates = [
            Template(
                id=uuid.uuid4(), name=f"t{n}", organization_id=organization.id, backend=BACKEND, config=config, **dates
            )
            for n, config in enumerate([*configurations[0].templates, extra])
        ]
        session.add_all(templates)
        session.flush()
        rows: dict[Any, list[dict[str, Any]]] = {Device: [], Config: [], ConfigState: [], ConfigTemplate: []}
        for number, (device, case) in enumerate(zip(devices, configurations, strict=False)):
            ids = {"config_id": uuid.uuid4(), "device_id": device.id}
            mac = f"02{number:010X}"
            # One after the other, as they come in life, and so that lists have an order.
            dates = {"created": now + timedelta(seconds=number), "modified": now + timedelta(seconds=number)}
            rows[Device].append(
                {"id": device.id, "name": f"ap-{number:05}", "organization_id": organization.id, "key": device.key,
                 "mac_address": ":".join(mac[i : i + 2] for i in range(0, 12, 2)), "mac_normalized": mac,
                 "os": case.device_os, "last_ip": device.address, **dates}
            )  # fmt: skip
            rows[Config].append(
                {"id": ids["config_id"], "device_id": device.id, "backend": BACKEND, "config": case.config,
                 "context": case.context, **dates}
            )  # fmt: skip
            checksum = hashlib.md5(device.key.encode(), usedforsecurity=False).hexdigest()
            rows[ConfigState].append(ids if rendered else ids | {"checksum": checksum, "rendered_version": 1})
            rows[ConfigTemplate] += [
                {"config_id": ids["config_id"], "template_id": template.id, "position": position}
                for position, template in enumerate(templates if number < some else templates[:-1])
            ]
        for model, values in rows.items():
            session.execute(sa.insert(model), values)
        # A worker that starts later has nothing to render.
        mark_all_if_renderer_changed(session, runtime.renderer.fingerprint())
    if rendered:
        refresh_all(runtime.session_factory, runtime.renderer, runtime.clock)
    if runtime.engine.dialect.name == "postgresql":
        with runtime.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
    return Fleet(devices, templates[0].id, templates[-1].id, token)


def _device(number: int) -> FleetDevice:
    key = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return FleetDevice(uuid.uuid4(), key, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")


def count_stale(runtime: Runtime) -> int:
    """How many configurations wait to be rendered."""
    stale = ConfigState.inputs_version != ConfigState.rendered_version
    with reading(runtime.session_factory) as session:
        return session.scalars(sa.select(sa.func.count()).select_from(ConfigState).where(stale)).one()
