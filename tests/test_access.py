"""Who may do what: every route, asked by everybody about everything."""

from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from geo_rows import floor_plan_row, location_row, place_row
from guywire import hookimpl
from guywire.api.service import APIService, Operation, services_of
from guywire.db import reading, writing
from guywire.models import (
    Config,
    ConfigArchive,
    ConfigState,
    Device,
    EmailAddress,
    JobRecord,
    Organization,
    OrganizationConfigSettings,
    User,
)
from guywire.security import add_member, identity_of
from guywire.services.accounts import create_organization
from guywire.testing.access import ALLOWED, Question, Visitor, Walk, expected
from guywire.testing.clients import OPENWRT
from guywire.testing.fixtures import make_user
from guywire_geo.models import DeviceLocation, FloorPlan, Location, OrganizationGeoSettings
from guywire_geo.services.image_files import folder_of
from guywire_ipam.models import IpAddress, Subnet, SubnetDivisionRule
from guywire_pki.models import CA, Cert
from guywire_ssh_connection.command_models import Batch, Command, OrganizationCommands
from guywire_ssh_connection.models import Credentials, DeviceConnection
from ipam_rows import address_row, rule_row, subnet_row
from pki_rows import ca_row, cert_row
from ssh_rows import batch_row, command_row, connection_row, credentials_row

_DETAIL = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
EXCEPTIONS = {
    **{("apikey_detail", method): "keys are their user's own: tests/test_api_keys.py" for method in _DETAIL},
    ("organization_detail", "DELETE"): "it would take the objects of this walk along; tests/test_accounts.py has it",
    ("template_clone", "POST"): "whoever may read a shared template may make one of their own of it",
}

MISSING = frozenset({"certificate_group"})


@pytest.fixture
def disabled_organization(runtime):
    """An organization that was switched off."""
    with writing(runtime.session_factory) as session:
        made = create_organization(
            session, runtime.key_ring, runtime.clock(), name="off", slug="off", shared_secret="off", is_active=False
        )
        return str(made.id)


@pytest.fixture
def visitors(runtime, organization, other_organization, disabled_organization):
    """One of each kind of user."""

    def visitor(name, token):
        with reading(runtime.session_factory) as session:
            user = session.scalars(sa.select(User).where(User.username == name)).one()
            return Visitor(name, token, identity_of(session, user))

    tokens = {
        "member": make_user(runtime, "member", group="Administrator"),
        "operator": make_user(runtime, "operator", organization, "Operator"),
        "foreign-operator": make_user(runtime, "foreign-operator", other_organization, "Operator"),
        "administrator": make_user(runtime, "administrator", organization, "Administrator"),
        "nobody-special": make_user(runtime, "nobody-special", organization),
        "superuser": make_user(runtime, "superuser", is_superuser=True),
        "disabled": make_user(runtime, "disabled", disabled_organization, "Administrator"),
    }
    with writing(runtime.session_factory) as session:
        member = session.scalars(sa.select(User).where(User.username == "member")).one()
        add_member(session, member, UUID(organization), is_admin=False)
    return [Visitor("anonymous", None, None), *(visitor(name, token) for name, token in tokens.items())]


@pytest.fixture
def walk(app, runtime, organization, other_organization, disabled_organization):
    """The walk through the application under test."""
    owners = [UUID(organization), UUID(other_organization), UUID(disabled_organization)]
    make = {
        Device: make_device,
        User: make_person,
        EmailAddress: make_address,
        JobRecord: make_job,
        CA: ca_row,
        Cert: cert_row,
        Subnet: subnet_row,
        IpAddress: address_row,
        SubnetDivisionRule: rule_row,
        Credentials: credentials_row,
        DeviceConnection: connection_row,
        Command: command_row,
        Batch: batch_row,
        OrganizationCommands: lambda session, owner: session.get_one(Organization, owner),
        OrganizationConfigSettings: lambda session, owner: session.get_one(Organization, owner),
        OrganizationGeoSettings: lambda session, owner: session.get_one(Organization, owner),
        Location: location_row,
        FloorPlan: partial(floor_plan_row, folder=folder_of(runtime.settings)),
        DeviceLocation: make_placed_device,
        "device_coordinates": make_placed_device,
        "device_activate": partial(make_device, is_deactivated=True),
    }
    return Walk(app, runtime, owners, make=make, paths={"extension": "png"}, missing=MISSING, exceptions=EXCEPTIONS)


def make_device(session, owner, *, is_deactivated=False):
    """A device with a configuration; its address must look like one."""
    number = uuid4().hex[:12].upper()
    address = ":".join(number[i : i + 2] for i in range(0, 12, 2))
    dates = {"created": datetime(2026, 1, 1, tzinfo=UTC), "modified": datetime(2026, 1, 1, tzinfo=UTC)}
    device = Device(name=number, mac_address=address, key=number, organization_id=owner, **dates)
    device.is_deactivated = is_deactivated
    device.config = Config(backend=OPENWRT, config={}, context={}, **dates)
    session.add(device)
    session.flush()
    session.add(ConfigState(config_id=device.config.id, device_id=device.id, checksum="0" * 32, rendered_version=1))
    session.add(ConfigArchive(config_id=device.config.id, checksum="0" * 32, archive=b"archive"))
    session.flush()
    return device


def make_placed_device(session, owner):
    """A device that is somewhere: what is said of that has the device's path."""
    device = make_device(session, owner)
    place_row(session, device)
    return device


def make_job(session, owner):
    """A job that waits."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    job = JobRecord(name="of nobody", organization_id=owner, created=moment, run_at=moment)
    session.add(job)
    session.flush()
    return job


def make_person(session, owner):
    """A member of an organization."""
    user = User(username=uuid4().hex, date_joined=datetime(2026, 1, 1, tzinfo=UTC))
    session.add(user)
    session.flush()
    add_member(session, user, owner, is_admin=False)
    return user


def make_address(session, owner):
    """An e-mail address of a member."""
    user = make_person(session, owner)
    address = EmailAddress(user_id=user.id, email=f"{user.username}@example.org")
    session.add(address)
    session.flush()
    return address


def surprises(walk, visitors, services):
    """The answers that are otherwise than the rule says."""
    found = []
    for question in walk.questions(services):
        for visitor in visitors:
            wanted = expected(visitor, question)
            given, text = walk.ask(visitor, question)
            if given != wanted:
                found.append(
                    f"{question.method} {question.service.path} of {question.owner} as {visitor.name}: "
                    f"{wanted} expected, {given} ({text})"
                )
    return found


def test_every_route_lets_in_whom_it_should_and_nobody_else(app, walk, visitors):
    services = services_of(app.app.registry)
    assert len(services) > 10
    found = surprises(walk, visitors, services)
    assert not found, "\n".join(found)


class Lamps:
    """A plugin with two routes, one of which forgets to ask who it is."""

    @hookimpl
    def configure(self, config):
        guarded = APIService(name="lamps", path="/api/v1/lamps/", description="Lamps.")

        @guarded.get(operation=Operation(permission="view_template"))
        def lamps(request):
            return []

        config.add_cornice_service(guarded)


class TestAPluginsRoutes:
    """They are walked like all others."""

    @pytest.fixture
    def plugins(self):
        return [("lamps", Lamps())]

    def test_one_that_asks_nobody_who_they_are_is_found(self, app, walk, visitors):
        [lamps] = [each for each in services_of(app.app.registry) if each.name == "lamps"]
        found = surprises(walk, visitors, [lamps])
        assert len(found) == 2 * len(
            [each for each in visitors if expected(each, Question(lamps, "GET", None, None, False)) != ALLOWED]
        )
        assert found[0].startswith("GET /api/v1/lamps/ of None as anonymous: unauthenticated expected")
