"""Lists stay as quick as they are, however long they get."""

from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from geo_rows import floor_plan_row
from guywire.api.service import services_of
from guywire.db import writing
from guywire.models import Config, ConfigState, Device, DeviceGroup, Template, Vpn
from guywire.testing.access import make_row
from guywire.testing.clients import OPENWRT
from guywire_geo.models import FloorPlan
from guywire_ipam.models import Subnet, SubnetDivisionRule
from guywire_pki.models import CA, Cert
from ipam_rows import rule_row, subnet_row
from pki_rows import ca_row, cert_row


@contextmanager
def statements_of(runtime):
    """The statements that are sent meanwhile."""
    sent = []

    def note(connection, cursor, statement, parameters, context, executemany):
        sent.append((statement, parameters))

    sa.event.listen(runtime.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(runtime.engine, "before_cursor_execute", note)


def make_many(runtime, model, owner, number):
    """Rows of any model that lists show."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with writing(runtime.session_factory) as session:
        for _ in range(number):
            if model in MAKE:
                MAKE[model](session, owner)
            else:
                make_row(session, model, owner, now)


def make_device(session, owner):
    """A device with a configuration."""
    dates = dict.fromkeys(("created", "modified"), datetime(2026, 1, 1, tzinfo=UTC))
    name = uuid4().hex
    device = Device(name=name, mac_address=name[:12], key=name, organization_id=owner, **dates)
    device.config = Config(backend=OPENWRT, **dates)
    session.add(device)
    session.flush()
    session.add(ConfigState(config_id=device.config.id, device_id=device.id, checksum="0" * 32, rendered_version=1))


MAKE = {
    Device: make_device,
    CA: ca_row,
    Cert: cert_row,
    Subnet: subnet_row,
    SubnetDivisionRule: rule_row,
    FloorPlan: floor_plan_row,
}


def test_a_page_of_many_rows_takes_no_more_statements_than_one_of_few(app, admin, runtime, organization):
    lists = [
        service
        for service in services_of(app.app.registry)
        if service.resource is not None and "{" not in service.path and "GET" in service.operations
    ]
    assert len(lists) >= 4
    for service in lists:
        counts = []
        for more in (2, 10):
            if hasattr(service.resource.model, "organization_id"):
                make_many(runtime, service.resource.model, UUID(organization), more)
            admin.get(service.path, page_size="100")
            with statements_of(runtime) as sent:
                admin.get(service.path, page_size="100")
            counts.append(len(sent))
        assert counts[0] == counts[1] <= 8, f"{service.path}: {counts}"


@pytest.mark.parametrize("model", [Device, DeviceGroup, Template, Vpn])
def test_the_newest_rows_are_found_without_sorting_all_of_them(admin, runtime, organization, model):
    path = {Device: "device/", DeviceGroup: "group/", Template: "template/", Vpn: "vpn/"}[model]
    make_many(runtime, model, UUID(organization), 3)
    with statements_of(runtime) as sent:
        admin.get(path, page_size="2")
    [(query, parameters)] = [each for each in sent if "ORDER BY" in each[0] and "LIMIT" in each[0]]
    with runtime.engine.connect() as connection:
        if runtime.engine.dialect.name == "sqlite":
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", parameters)
            assert "TEMP B-TREE" not in str(plan.all())
        else:
            # With so few rows PostgreSQL would rather sort them.
            connection.exec_driver_sql("SET enable_seqscan = off")
            connection.exec_driver_sql("SET enable_sort = off")
            plan = connection.exec_driver_sql(f"EXPLAIN {query}", parameters)
            assert "Sort" not in str(plan.all())
