"""Stories of commands for many devices: who gets one, when, and what comes of it."""

from functools import partial
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.jobs import Priority
from guywire.models import ConfigState, Device
from guywire.testing import Client
from guywire.testing.fixtures import make_user
from guywire_ssh_connection.command_models import Batch, Command
from guywire_ssh_connection.services import batches, commands, executing

PATH = "batch-command/"
SNMP = "openwisp_controller.connection.connectors.openwrt.snmp.OpenWRTSnmp"


class Story:
    """Some wired devices, and everything that the worker would do, step by step."""

    def __init__(self, admin, organization, fleet, runtime):
        self.admin, self.organization, self.fleet, self.runtime = admin, organization, fleet, runtime
        self.devices, self.hosts = [], []

    def make(self, count, **fields):
        for number in range(len(self.devices), len(self.devices) + count):
            device = self.admin.make_device(self.organization, f"d{number}", f"00:00:00:00:00:{number:02x}", **fields)
            self.devices.append(device)
            self.hosts.append(self.fleet.wire(self.runtime, device["id"])[0])
        return self

    def start(self, client=None, status=201, **fields):
        body = {"organization": self.organization, "type": "custom", "input": {"command": "uptime"}, **fields}
        return (client or self.admin).post(PATH, body, status)

    def visits(self):
        """Visit the devices whose commands may run now."""
        with reading(self.runtime.session_factory) as session:
            ids = session.scalars(sa.select(Command.device_id).where(commands.waits()).order_by(Command.number)).all()
        for id in ids:
            self.fleet.visit(self.runtime, str(id))
        return len(ids)

    def work(self):
        """Let everything run that can."""
        batches.advance_all(self.runtime)
        while self.visits():
            batches.advance_all(self.runtime)

    def of(self, batch):
        return self.admin.get(f"{PATH}{batch['id']}/")

    def told(self):
        return [len(host.told) for host in self.hosts]


@pytest.fixture
def story(admin, organization, fleet, runtime):
    return Story(admin, organization, fleet, runtime)


def progress(**counts):
    return dict.fromkeys(("total", *batches.STATES, "skipped"), 0) | counts


def test_a_command_reaches_those_devices_that_it_is_for(story, documented, organization, runtime):
    operator = documented
    story.make(5)
    admin, ids = story.admin, [device["id"] for device in story.devices]
    group = admin.post("group/", {"name": "g", "organization": organization, "templates": []})["id"]
    for id in ids[1:]:
        admin.patch(f"device/{id}/", {"group": group})
    admin.post(f"device/{ids[4]}/deactivate/", status=200)
    unwired = admin.make_device(organization, "unwired", "00:11:22:33:44:55")
    admin.patch(f"device/{unwired['id']}/", {"group": group})
    snmp = {"name": "s", "organization": organization, "connector": SNMP, "params": {"community": "c", "agent": "a"}}
    snmp = {"credentials": admin.post("credential/", snmp)["id"]}
    admin.post(f"device/{unwired['id']}/connection/", snmp)
    target = {"group": group, "filters": {"config__backend": "netjsonconfig.OpenWrt"}}
    target["devices"] = [*ids[:2], *ids[3:], unwired["id"]]
    body = {"organization": organization, "type": "custom", "input": {"command": "uptime"}, **target}
    dry = operator.post(f"{PATH}dry-run/", body, 200)
    assert dry["devices"] == [{"id": ids[1], "name": "d1"}, {"id": ids[3], "name": "d3"}]
    reasons = {each["name"]: each["reason"] for each in dry["skipped"]}
    assert reasons == {"d4": "It is deactivated.", "unwired": "It has no connection that is enabled and runs commands."}
    assert operator.get(PATH)["count"] == 0
    batch = story.start(operator, **target)
    assert batch["progress"] == progress(total=2, queued=2, skipped=2)
    story.hosts[1].answer = lambda line, say: say("odd\n") or 0
    story.work()
    shown = story.of(batch)
    assert (shown["status"], shown["progress"]) == ("finished", progress(total=2, success=2, skipped=2))
    assert shown["skipped"] == dry["skipped"]
    assert story.told() == [0, 1, 0, 1, 0]
    assert operator.get(f"{PATH}{batch['id']}/") == shown
    groups = operator.get(f"{PATH}{batch['id']}/results/")["results"]
    assert sorted((each["output"], each["count"]) for each in groups) == [("", 1), ("odd\n", 1)]
    assert operator.post(f"{PATH}{batch['id']}/cancel/", status=200) == shown
    state = operator.get(f"device/{ids[1]}/command/")["results"][0]
    assert operator.get(f"device/{ids[1]}/command/{state['id']}/state/")["batch"] == batch["id"]


def test_nobody_is_reached_by_mistake(story, operator, organization, other_organization, runtime, app):
    story.make(2)
    admin = story.admin
    assert story.start(status=400, filters={"config__staus": "error"}) == {
        "filters": {"config__staus": ["There is no such filter."]}
    }
    for filters in ({"config__backend": "x"}, {"created": "x"}, {"name": ""}, {"name": 7}):
        assert list(story.start(status=400, filters=filters)["filters"]) == list(filters)
    assert story.start(status=400, filters={"name": "nobody"}) == {
        "non_field_errors": ["There is no device that could run it; dry-run/ says why."]
    }
    for nothing in ([], "", 0, False):
        assert list(story.start(status=400, filters=nothing)) == ["filters"]
    story.start(status=400, devices=[str(uuid4())])
    story.start(status=400, expires="2020-01-01T00:00:00Z")
    story.start(status=400, type="reboot")
    for wrong in ({"parallel": 0}, {"rate": -1}, {"abort_percentage": 101}, {"organization": None}):
        assert list(story.start(status=400, **wrong)) == list(wrong)
    admin.put(f"organization/{organization}/commands/", {"types": ["reboot"]})
    assert story.start(status=400) == {"type": ['"custom" is not a valid choice.']}
    admin.put(f"organization/{organization}/commands/", {"types": None})
    # Another organization's manager neither uses these devices nor hears of the batch.
    stranger = Client(app, make_user(runtime, "stranger", other_organization, "Administrator"))
    story.start(stranger, 400)
    story.start(stranger, 400, organization=other_organization, devices=[story.devices[0]["id"]])
    story.start(stranger, 400, organization=other_organization, filters={"organization": organization})
    batch = story.start(operator)
    for action in ("", "results/"):
        stranger.get(f"{PATH}{batch['id']}/{action}", 404)
    stranger.post(f"{PATH}{batch['id']}/cancel/", status=404)
    assert stranger.get(PATH)["count"] == 0
    # A device that goes to them takes along no command that has not begun, and the results do not name it.
    admin.patch(f"device/{story.devices[0]['id']}/", {"organization": other_organization})
    story.work()
    assert story.told() == [0, 1]
    results = operator.get(f"{PATH}{batch['id']}/results/")["results"]
    assert {(each["status"], each["count"], len(each["devices"])) for each in results} == {
        ("failed", 1, 0),
        ("success", 1, 1),
    }
    gone = f'The device "{story.devices[0]["id"]}" belongs to another organization.'
    assert story.start(status=400, devices=[each["id"] for each in story.devices]) == {"devices": [gone]}


def test_a_device_that_moves_while_a_batch_is_made_is_left_out_of_it(story, other_organization, runtime):
    story.make(2)
    batch = story.start()
    # As if the move had been committed just before the batch, which had read where the devices are by then.
    moved = sa.update(Device).where(Device.id == UUID(story.devices[0]["id"]))
    with writing(runtime.session_factory) as session:
        session.execute(moved.values(organization_id=UUID(other_organization)))
    story.work()
    assert story.told() == [0, 1]
    assert story.of(batch)["progress"] == progress(total=2, success=1, not_run=1)


def test_devices_have_their_turn_by_number_and_by_rate(story, clock, runtime):
    story.make(6)
    batch = story.start(parallel=2, rate=3)

    def step():
        batches.advance_all(runtime)
        return story.visits()

    assert [step() for _ in range(4)] == [2, 1, 0, 0]
    clock.advance(59)
    assert step() == 0
    clock.advance(2)
    assert [step() for _ in range(3)] == [2, 1, 0]
    assert story.of(batch)["status"] == "finished"
    assert story.told() == [1] * 6


def test_a_device_that_is_away_gets_its_command_when_it_polls(story, router, runtime, worker):
    story.make(3)
    polls = [
        partial(router(device).poll, management_ip=address)
        for device, address in zip(story.devices, story.fleet.hosts, strict=True)
    ]
    for poll in polls:
        poll()
    story.hosts[0].is_reachable = story.hosts[1].is_reachable = False
    batch = story.start()
    story.work()
    assert story.of(batch)["progress"] == progress(total=3, waiting=2, success=1)
    # An operator's own command does not wait behind it.
    alone = f"device/{story.devices[0]['id']}/command/"
    story.admin.post(alone, {"type": "custom", "input": {"command": "ls"}})
    story.visits()
    assert story.admin.get(alone)["results"][0]["status"] == "failed"
    story.hosts[0].is_reachable = True
    story.work()
    assert story.told() == [0, 0, 1]
    for poll in polls:
        poll()
    story.work()
    assert story.told() == [1, 0, 1]
    assert story.of(batch)["progress"] == progress(total=3, waiting=1, success=2)
    # What the poll awaited was said once; the one that is still away is awaited again.
    with reading(runtime.session_factory) as session:
        awaited = sa.select(Device.name).join(ConfigState, ConfigState.device_id == Device.id)
        assert session.scalars(awaited.where(ConfigState.poll_awaited)).all() == ["d1"]
    polls[0]()
    story.hosts[1].is_reachable = True
    polls[1]()
    worker.run_due(0.0)
    story.work()
    assert story.told() == [1, 1, 1]
    assert story.of(batch)["status"] == "finished"


def test_what_has_not_begun_ends_when_it_is_cancelled_too_late_or_has_gone_wrong_too_often(story, clock, operator):
    story.make(8)
    story.hosts[0].is_reachable = False
    batch = story.start(parallel=2)
    batches.advance_all(story.runtime)
    story.visits()
    operator.post(f"{PATH}{batch['id']}/cancel/", status=200)
    story.work()
    shown = story.of(batch)
    assert (shown["status"], shown["progress"]) == ("cancelled", progress(total=8, success=1, not_run=7))
    operator.post(f"{PATH}{batch['id']}/cancel/", status=200)
    # The moment passes while one device is away.
    late = story.start(expires="2026-01-01T13:00:00Z")
    story.work()
    clock.advance(3601)
    story.work()
    shown = story.of(late)
    assert (shown["status"], shown["progress"]) == ("expired", progress(total=8, success=7, not_run=1))
    # A quarter of eight devices fail.
    for host in story.hosts:
        host.is_reachable, host.answer = True, lambda line, say: say("no\n") or 1
    wrong = story.start(parallel=1, abort_percentage=25)
    story.work()
    shown = story.of(wrong)
    assert (shown["status"], shown["progress"]) == ("aborted", progress(total=8, failed=2, not_run=6))
    results = operator.get(f"{PATH}{wrong['id']}/results/")
    assert [(each["status"], each["count"]) for each in results["results"]] == [("failed", 6), ("failed", 2)]
    assert [each["name"] for each in results["results"][1]["devices"]] == ["d0", "d1"]
    assert results["results"][1]["output"] == 'no\nCommand "uptime" returned non-zero exit code: 1\n'
    assert operator.request("GET", PATH, query={"status": "aborted"}).json["count"] == 1
    assert operator.get(f"{PATH}{wrong['id']}/results/", page_size=1)["count"] == 2


def test_a_batch_lets_operators_go_first_and_shows_no_password(story, runtime, monkeypatch):
    story.make(2)
    asked = []
    monkeypatch.setattr(
        type(runtime.queue),
        "put",
        lambda self, wanted: asked.extend((each.name, each.priority) for each in wanted),
    )
    secret = {"password": "hush-hush", "confirm_password": "hush-hush"}
    batch = story.start(type="change_password", input=secret)
    assert batch["input"] == "********"
    batches.advance_all(runtime)
    alone = f"device/{story.devices[0]['id']}/command/"
    story.admin.post(alone, {"type": "reboot", "input": None})
    visits = [priority for name, priority in asked if name == commands.VISIT]
    assert visits == [Priority.BULK, Priority.BULK, Priority.OPERATOR]
    assert {priority for name, priority in asked if name == executing.ADVANCE} == {Priority.BULK}
    story.work()
    assert all("hush-hush" in host.told[0] for host in story.hosts)
    with writing(runtime.session_factory) as session:
        assert set(session.scalars(sa.select(Command.secret))) == {None}
        session.execute(sa.update(Batch).where(Batch.id == UUID(batch["id"])).values(status="in-progress"))
        assert "hush-hush" not in repr(session.execute(sa.text("SELECT * FROM ssh_connection_batch")).all())
