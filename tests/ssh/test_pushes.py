"""Stories of pushes: devices hear of what changed, soon, once, one visitor at a time, and in spite of everything."""

import threading
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from guywire import hookimpl
from guywire.app import create_app
from guywire.db import reading, writing
from guywire.events import IsWorkingChanged
from guywire.jobs import Priority
from guywire.models import JobRecord
from guywire.services.rendering import refresh_all
from guywire.testing import Client
from guywire_ssh_connection.connectors.keys import fingerprint
from guywire_ssh_connection.models import DeviceVisit
from guywire_ssh_connection.services import lease, pushing, visits
from processes import eventually
from ssh_fleet import CONNECTOR, Host
from webtest import TestApp

FIRST_KEY, OTHER_KEY = "ssh-ed25519 Zmlyc3Q=", "ssh-ed25519 b3RoZXI="


class Witness:
    """Hears whether connections work."""

    def __init__(self):
        self.heard = []

    @hookimpl
    def after_commit(self, event):
        if isinstance(event, IsWorkingChanged):
            self.heard.append((event.is_working, event.failure_reason))


@pytest.fixture
def witness():
    return Witness()


@pytest.fixture
def plugins(fleet, witness):
    return [("fleet", fleet), ("witness", witness)]


@pytest.fixture
def credentials(admin, organization):
    """Credentials for the fleet."""
    body = {"name": "fleet", "organization": organization, "connector": CONNECTOR, "params": {"port": 7}}
    return admin.post("credential/", body)["id"]


@pytest.fixture
def connect(admin, organization, credentials, fleet):
    """A function that makes a device with a connection. Returns its detail, and the host that it is."""

    def connect(number=1, **fields):
        device = admin.make_device(organization, f"r{number}", f"00:00:00:00:00:{number:02x}", **fields)
        address = f"10.9.0.{number}"
        fleet.hosts[address] = host = Host()
        admin.patch(f"device/{device['id']}/", {"management_ip": address})
        body = {"credentials": credentials, "update_strategy": "fleet.Nudge"}
        admin.post(f"device/{device['id']}/connection/", body)
        return device, host

    return connect


@pytest.fixture
def work(worker, clock):
    """Let some seconds pass and the worker do what is due."""

    def work(seconds=1):
        clock.advance(seconds)
        work.elapsed += seconds
        worker.run_due(work.elapsed)

    work.elapsed = 0.0
    return work


def edit(client, device, timezone):
    client.patch(f"device/{device['id']}/", {"config": {"config": {"general": {"timezone": timezone}}}})


def connection_of(client, device):
    [found] = client.get(f"device/{device['id']}/connection/")["results"]
    return found


def test_a_change_reaches_the_device_once_however_many_edits_follow(admin, connect, work, clock, router, witness):
    device, host = connect()
    work()
    # What a device should have when it gets its first connection, it fetches by itself.
    assert host.connects == 0
    assert connection_of(admin, device)["is_working"] is None
    for timezone in ("Europe/Rome", "Europe/Zurich", "Europe/Oslo"):
        edit(admin, device, timezone)
    work()
    assert (host.told, host.connects, host.params) == (["nudge"], 1, {"port": 7})
    connection = connection_of(admin, device)
    assert (connection["is_working"], connection["failure_reason"]) == (True, "")
    assert connection["last_attempt"] == "2026-01-01T12:00:02Z"
    # The first success is no news.
    assert witness.heard == []
    work(3600)
    assert host.told == ["nudge"]
    edit(admin, device, "Europe/Paris")
    router(device).apply()
    work()
    assert host.told == ["nudge"]


def test_a_device_that_registers_again_is_told_of_nothing_that_it_fetches_next(app, admin, connect, work):
    device, host = connect()
    known = {"secret": "secret", "backend": "netjsonconfig.OpenWrt", "key": device["key"]}
    app.post("/controller/register/", known | {"name": "renamed", "mac_address": device["mac_address"]}, status=201)
    assert admin.get(f"device/{device['id']}/")["config"]["status"] == "modified"
    work()
    work(3600)
    assert host.connects == 0
    edit(admin, device, "Europe/Rome")
    work()
    assert host.told == ["nudge"]


def test_a_device_that_is_taken_out_of_service_hears_that_and_nothing_after_it(admin, connect, work, router):
    device, host = connect()
    agent = router(device)
    agent.apply()
    # An agent that names no management address has none any more.
    admin.patch(f"device/{device['id']}/", {"management_ip": "10.9.0.1"})
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    work()
    assert host.told == ["nudge"]
    agent.apply()
    assert admin.get(f"device/{device['id']}/")["config"]["status"] == "deactivated"
    work(3600)
    assert host.connects == 1


def test_devices_of_a_disabled_organization_are_left_alone_until_it_is_enabled(admin, organization, connect, work):
    device, host = connect()
    work()
    admin.patch(f"/api/v1/users/organization/{organization}/", {"is_active": False})
    edit(admin, device, "Europe/Rome")
    commands = f"device/{device['id']}/command/"
    command = admin.post(commands, {"type": "custom", "input": {"command": "uptime"}})
    work(61)
    assert host.connects == 0
    failed = admin.get(f"{commands}{command['id']}/")
    assert (failed["status"], failed["output"]) == ("failed", "The organization of the device is disabled.")
    admin.patch(f"/api/v1/users/organization/{organization}/", {"is_active": True})
    work(61)
    assert host.told == ["nudge"]


def test_a_device_that_is_away_is_tried_again_later_and_later(admin, connect, work, witness):
    device, host = connect()
    host.is_reachable = False
    edit(admin, device, "Europe/Rome")
    work()
    assert host.connects == 1
    connection = connection_of(admin, device)
    assert (connection["is_working"], connection["failure_reason"]) == (False, "no route to 10.9.0.1")
    tried = []
    for _ in range(30):
        before = host.connects
        work(60)
        tried.append(host.connects - before)
    # After 10, 20, 40, … seconds: less often than one looks.
    assert sum(tried[:4]) in (3, 4)
    assert sum(tried[-10:]) <= 1
    # Who edits is at it now, and does not wait.
    edit(admin, device, "Europe/Zurich")
    before = host.connects
    work()
    assert host.connects == before + 1
    # So is who puts the connection or its credentials right.
    admin.patch(f"device/{device['id']}/connection/{connection['id']}/", {"enabled": True})
    work()
    assert host.connects == before + 2
    host.is_reachable = True
    admin.patch(f"credential/{connection['credentials']}/", {"params": {"port": 8}})
    work()
    assert (host.told, host.params) == (["nudge"], {"port": 8})
    work(3600)
    assert host.told == ["nudge"]
    assert witness.heard == [(False, "no route to 10.9.0.1"), (True, "")]


def test_a_lost_wake_up_and_a_dead_worker_lose_nothing(admin, connect, work, runtime, clock):
    device, host = connect()
    edit(admin, device, "Europe/Rome")
    with writing(runtime.session_factory) as session:
        session.execute(sa.delete(JobRecord))
    held = lease.Lease.claim(runtime, UUID(device["id"]))
    assert held is not None
    work(20)
    # Somebody is there, as it seems.
    assert host.told == []
    work(20)
    assert host.told == ["nudge"]
    with pytest.raises(lease.LeaseLost):
        held.renew()


def test_a_visit_has_the_device_for_as_long_as_it_does_something(admin, connect, runtime, clock):
    object.__setattr__(runtime.settings, "job_lease", 0.05)
    device, host = connect()
    threads = threading.active_count()

    def until():
        with reading(runtime.session_factory) as session:
            return session.get_one(DeviceVisit, UUID(device["id"])).leased_until

    def answer(line, say):
        for _ in range(3):
            clock.advance(0.08)
            eventually(lambda: until() > clock() + timedelta(seconds=0.09), "the renewal")
            assert lease.Lease.claim(runtime, UUID(device["id"])) is None
        # It is stuck, as it seems.
        clock.advance(3600)
        assert lease.Lease.claim(runtime, UUID(device["id"])) is not None
        return 0

    host.answer = answer
    edit(admin, device, "Europe/Rome")
    visits.visit(runtime, device["id"])
    assert host.told == ["nudge"]
    assert until() > clock(), "it is the other one's now"
    assert threading.active_count() == threads


def test_nothing_is_sent_to_a_host_that_shows_another_key_until_somebody_accepts_it(admin, operator, connect, work):
    device, host = connect()
    path = f"device/{device['id']}/host-key/"
    assert operator.get(path) == {"pinned": None, "offered": None}
    host.key = FIRST_KEY
    edit(admin, device, "Europe/Rome")
    work()
    pinned = operator.get(path)["pinned"]
    assert pinned == {
        "type": "ssh-ed25519",
        "fingerprint": fingerprint(FIRST_KEY),
        "key": FIRST_KEY,
        "since": "2026-01-01T12:00:01Z",
    }
    host.key = OTHER_KEY
    edit(admin, device, "Europe/Zurich")
    work()
    assert host.told == ["nudge"]
    assert connection_of(admin, device)["failure_reason"] == "The device shows another host key."
    assert operator.get(path)["offered"]["fingerprint"] == fingerprint(OTHER_KEY)
    assert operator.put(path, {"fingerprint": "SHA256:other"}, 400) == {
        "fingerprint": ["The device has not shown a key with this fingerprint."]
    }
    accepted = operator.put(path, {"fingerprint": fingerprint(OTHER_KEY)})
    assert (accepted["pinned"]["key"], accepted["offered"]) == (OTHER_KEY, None)
    work()
    assert host.told == ["nudge", "nudge"]
    operator.delete(path)
    assert operator.get(path) == {"pinned": None, "offered": None}


def test_what_is_asked_for_during_a_visit_is_done_before_it_ends(admin, connect, runtime, work):
    device, host = connect()

    def edited_meanwhile(line, say):
        if len(host.told) == 1:
            edit(admin, device, "Europe/Zurich")
            # The push that this asks for finds the visitor there.
            pushing.push(runtime)
            visits.visit(runtime, device["id"])
        return 0

    host.answer = edited_meanwhile
    edit(admin, device, "Europe/Rome")
    visits.visit(runtime, device["id"])
    assert (host.told, host.connects) == (["nudge", "nudge"], 1)
    with reading(runtime.session_factory) as session:
        row = session.get_one(DeviceVisit, UUID(device["id"]))
        assert (row.lease, row.leased_until) == (None, None)


def test_a_command_and_a_push_share_a_connection(admin, connect, work):
    device, host = connect()
    admin.post(f"device/{device['id']}/command/", {"type": "custom", "input": {"command": "uptime"}})
    edit(admin, device, "Europe/Rome")
    work()
    assert (host.told, host.connects) == (["uptime", "nudge"], 1)


def test_an_operators_edit_goes_before_the_consequences_of_a_template(
    admin, connect, organization, runtime, monkeypatch
):
    monkeypatch.setattr(pushing, "_AFTER_EDIT", 1)
    template = admin.make_template(organization)["id"]
    devices = [connect(number, templates=[template])[0] for number in (1, 2, 3)]

    def asked_for():
        pushing.push(runtime)
        with reading(runtime.session_factory) as session:
            waiting = session.scalars(sa.select(JobRecord).where(JobRecord.name == "ssh_visit")).all()
            return {record.arguments["device_id"]: record.priority for record in waiting}

    config = {"interfaces": [{"name": "eth9", "type": "ethernet"}]}
    admin.patch(f"template/{template}/", {"config": config})
    refresh_all(runtime.session_factory, runtime.renderer, runtime.clock)
    assert asked_for() == {each["id"]: Priority.BULK for each in devices}
    edit(admin, devices[1], "Europe/Rome")
    assert asked_for() == {each["id"]: Priority.OPERATOR if each is devices[1] else Priority.BULK for each in devices}


def test_a_strategy_that_fails_is_tried_again(admin, connect, work):
    device, host = connect()
    host.answer = lambda line, say: 1
    edit(admin, device, "Europe/Rome")
    work()
    connection = connection_of(admin, device)
    reason = "The device could not be told of its configuration: It does not react."
    assert (connection["is_working"], connection["failure_reason"]) == (True, reason)
    host.answer = lambda line, say: 0
    work(600)
    assert host.told == ["nudge", "nudge"]
    assert connection_of(admin, device)["failure_reason"] == ""


def test_without_the_plugin_everything_else_goes_on(admin, connect, organization, settings, clock):
    device, _ = connect()
    application = create_app(replace(settings, plugins_blocked=frozenset({"ssh_connection"})), clock=clock)
    client = Client(TestApp(application), admin.token)
    for path in ("credential/", "/api/v1/connection/credential/", f"device/{device['id']}/connection/"):
        client.get(path, 404)
    edit(client, device, "Europe/Rome")
    client.make_device(organization, "second", "00:00:00:00:01:02")
    client.delete(f"device/{device['id']}/?force=true")
    application.registry.poll_reader.close()
    application.registry.runtime.close()
