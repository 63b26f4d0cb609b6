"""Stories of commands: what operators ask of a device, what it says, and that it hears everything once."""

import json
from contextlib import suppress
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.interfaces import CommandTimeout
from guywire.models import JobRecord
from guywire.testing import Client
from guywire.testing.fixtures import make_user
from guywire_ssh_connection.command_models import Command
from guywire_ssh_connection.services import commands as command_service
from guywire_ssh_connection.services import executing
from guywire_ssh_connection.services.connecting import Line, Opened
from guywire_ssh_connection.services.lease import Lease, LeaseLost
from guywire_ssh_connection.settings import SSHSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ssh_fleet import Wire

PASSWORD = "it's $ecret"


@pytest.fixture
def device(admin, organization):
    """A device of the organization."""
    return admin.make_device(organization)


@pytest.fixture
def path(device):
    return f"device/{device['id']}/command/"


@pytest.fixture
def host(fleet, runtime, device):
    """What the device is."""
    return fleet.wire(runtime, device["id"])[0]


@pytest.fixture
def visit(fleet, runtime, device):
    """Do what waits at the device."""
    return lambda: fleet.visit(runtime, device["id"])


def say(settings, **values):
    """Have the ini say something of connections."""
    settings.of_plugins["ssh_connection"] = {name: json.dumps(value) for name, value in values.items()}


def custom(line):
    return {"type": "custom", "input": {"command": line}}


def test_a_command_is_run_and_says_what_the_device_said(documented, path, host, visit, device, organization):
    operator = documented
    made = operator.post(path, custom("uptime"))
    assert list(made) == ["id", "input", "device", "connection", "created", "modified", "status", "type", "output"]
    assert (made["type"], made["input"], made["status"]) == ("Custom commands", "uptime", "in-progress")
    assert (made["device"], made["connection"], made["output"]) == (device["id"], None, "")
    host.answer = lambda line, say: say("up 3 days") or 0
    visit()
    shown = operator.get(f"{path}{made['id']}/")
    assert (shown["status"], shown["output"]) == ("success", "up 3 days\n")
    assert shown["connection"] is not None
    state = operator.get(f"{path}{made['id']}/state/")
    assert (state["type_id"], state["input_data"], state["batch"]) == ("custom", {"command": "uptime"}, None)
    assert host.told == ["uptime"]
    # It is over: nobody runs it again.
    visit()
    assert host.told == ["uptime"]
    assert operator.get(path)["count"] == 1
    operator.get(f"{path}{uuid4()}/", 404)
    operator.get(f"organization/{organization}/commands/")
    operator.request("PUT", f"organization/{organization}/commands/", {"types": ["custom"]}, 403)
    for method in ("PUT", "PATCH", "DELETE"):
        operator.request(method, f"{path}{made['id']}/", status=405)


def failing(status):
    return lambda line, say: say("oops") or status


def late(line, say):
    say("half")
    raise CommandTimeout("Command timed out after 30.0 seconds.")


def broken(line, say):
    raise RuntimeError("the wire melts")


WRONG = [
    (failing(3), "custom", "failed", 'oops\nCommand "ls" returned non-zero exit code: 3\n'),
    (failing("dropped"), "custom", "failed", f"oops\n{executing.SILENT}"),
    (failing("dropped"), "reboot", "success", "oops"),
    (failing(1), "reboot", "failed", 'oops\nCommand "reboot" returned non-zero exit code: 1\n'),
    (late, "custom", "failed", "half\nThe command took longer than expected: Command timed out after 30.0 seconds.\n"),
    (broken, "custom", "failed", "Internal system error: the wire melts\n"),
]


def test_what_goes_wrong_is_told(operator, admin, path, host, visit, device, runtime):
    connection = admin.get(f"device/{device['id']}/connection/")["results"][0]["id"]

    def outcome(body):
        made = operator.post(path, body)
        visit()
        shown = operator.get(f"{path}{made['id']}/")
        # The connection is shown, whether it was opened or only tried.
        assert shown["connection"] == connection
        return shown["status"], shown["output"]

    for answer, kind, status, output in WRONG:
        host.answer = answer
        body = custom("ls") if kind == "custom" else {"type": kind, "input": None}
        assert outcome(body) == (status, output)
    host.is_reachable = False
    address = admin.get(f"device/{device['id']}/")["management_ip"]
    assert outcome(custom("ls")) == ("failed", f"no route to {address}")
    admin.patch(f"device/{device['id']}/", {"management_ip": None})
    assert outcome(custom("ls")) == ("failed", "No valid IP addresses to initiate connections found")
    # The device is deactivated, and a plugin is gone, after the command was accepted.
    host.told.clear()
    waiting, orphan = operator.post(path, custom("one")), operator.post(path, custom("two"))
    with writing(runtime.session_factory) as session:
        session.execute(sa.update(Command).where(Command.id == UUID(orphan["id"])).values(type="gone"))
    visit_of_orphan = f"{path}{orphan['id']}/"
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    visit()
    assert operator.get(f"{path}{waiting['id']}/")["output"] == "Device is deactivated."
    assert operator.get(visit_of_orphan)["status"] == "failed"
    assert host.told == []
    operator.post(path, custom("ls"), 403)


def test_commands_of_a_device_run_in_the_order_in_which_they_came(operator, admin, path, host, visit, fleet, runtime):
    made = [operator.post(path, custom(f"echo {number}"))["id"] for number in range(4)]
    # A command that is deleted meanwhile is not run, and does not come back.
    with writing(runtime.session_factory) as session:
        session.execute(sa.delete(Command).where(Command.id == UUID(made[1])))
    visit()
    assert host.told == ["echo 0", "echo 2", "echo 3"]
    assert host.connects == 1
    assert [each["id"] for each in operator.get(path)["results"]] == [made[3], made[2], made[0]]


def test_a_command_can_be_sent_over_a_certain_connection(
    operator, admin, organization, path, host, visit, fleet, runtime, device
):
    _, second = fleet.wire(runtime, device["id"], enabled=False)
    made = operator.post(path, custom("ls") | {"connection": second})
    assert made["connection"] == second
    visit()
    assert operator.get(f"{path}{made['id']}/")["connection"] == second
    other = admin.make_device(organization, "other", "00:11:22:33:44:66")
    _, foreign = fleet.wire(runtime, other["id"])
    wrong = operator.post(path, custom("ls") | {"connection": foreign}, 400)
    assert wrong == {"connection": [f'Invalid pk "{foreign}" - object does not exist.']}


def test_a_connection_that_is_taken_away_serves_no_longer(operator, admin, path, host, visit, fleet, runtime, device):
    _, second = fleet.wire(runtime, device["id"])
    connections = f"device/{device['id']}/connection/"
    first = next(each["id"] for each in admin.get(connections)["results"] if each["id"] != second)
    made = [operator.post(path, custom("one") | {"connection": first}), operator.post(path, custom("two"))]

    def take_away(line, say):
        if line == "one":
            admin.delete(f"{connections}{first}/")
        return 0

    admin.patch(f"device/{device['id']}/", {"management_ip": next(iter(fleet.hosts))})
    host.answer = take_away
    visit()
    assert (host.told, host.connects) == (["one", "two"], 2)
    assert [operator.get(f"{path}{each['id']}/")["connection"] for each in made] == [None, second]


def test_a_command_that_has_not_begun_outlives_whatever_happens_to_the_database(
    operator, admin, path, host, visit, fleet, runtime, device, monkeypatch
):
    made = operator.post(path, custom("uptime"))
    busy = sa.exc.OperationalError("SELECT 1", {}, Exception("away"))

    def fail(*arguments):
        raise busy

    with monkeypatch.context() as patch:
        patch.setattr(Line, "_record", fail)
        with pytest.raises(sa.exc.OperationalError):
            visit()
    assert operator.get(f"{path}{made['id']}/")["status"] == "in-progress"
    # The connection goes just when the device has been reached.
    [connection] = admin.get(f"device/{device['id']}/connection/")["results"]
    claim = executing._claim

    def take_away(*arguments):
        admin.delete(f"device/{device['id']}/connection/{connection['id']}/")
        return claim(*arguments)

    monkeypatch.setattr(executing, "_claim", take_away)
    visit()
    shown = operator.get(f"{path}{made['id']}/")
    assert (shown["status"], shown["connection"], host.told) == ("success", None, ["uptime"])


def test_who_was_thought_dead_and_comes_back_tells_how_the_command_ended(operator, path, host, visit, clock):
    made = operator.post(path, custom("uptime"))["id"]
    said = []

    def answer(line, say):
        clock.advance(1000)
        visit()
        said.append(operator.get(f"{path}{made}/"))
        say("up 3 days")
        return 0

    host.answer = answer
    visit()
    assert (said[0]["status"], said[0]["output"]) == ("failed", executing.UNKNOWN)
    shown = operator.get(f"{path}{made}/")
    assert (shown["status"], shown["output"], host.told) == ("success", "up 3 days\n", ["uptime"])


def test_what_a_device_was_told_stays_with_the_organization_that_told_it(
    app, runtime, admin, operator, path, host, visit, device, organization, other_organization
):
    made = operator.post(path, custom("cat secret"))
    host.answer = lambda line, say: say("theirs") or 0
    visit()
    move = {"organization": other_organization}
    admin.patch(f"device/{device['id']}/", move)
    stranger = Client(app, make_user(runtime, "stranger", other_organization, "Administrator"))
    assert stranger.get(path)["count"] == 0
    for place in (f"{path}{made['id']}/", f"{path}{made['id']}/state/"):
        stranger.get(place, 404)
        operator.get(place, 404)
    assert admin.get(f"{path}{made['id']}/")["output"] == "theirs\n"
    admin.patch(f"device/{device['id']}/", {"organization": organization})
    assert operator.get(f"{path}{made['id']}/")["output"] == "theirs\n"


def test_passwords_are_read_by_nobody_but_the_device(operator, path, host, visit, runtime, caplog):
    body = {"type": "change_password", "input": {"password": PASSWORD, "confirm_password": PASSWORD}}
    wrong = operator.post(path, body | {"input": body["input"] | {"confirm_password": "another"}}, 400)
    assert wrong == {"input": ["The two passwords are not equal."]}
    two = {"password": "one\ntwo", "confirm_password": "one\ntwo"}
    operator.post(path, body | {"input": two}, 400)
    answers = [operator.request("POST", path, body, 201)]
    detail = f"{path}{answers[0].json['id']}/"
    seen_in_database = []

    def look():
        with runtime.engine.connect() as connection:
            for table in (Command.__table__, JobRecord.__table__):
                seen_in_database.extend(connection.execute(sa.text(f"SELECT * FROM {table.name}")).mappings().all())

    def answer(line, say):
        look()
        answers.extend(operator.request("GET", place, status=200) for place in (path, detail, f"{detail}state/"))
        say(f"passwd: {PASSWORD} is weak, {line} failed")
        return 1

    host.answer = answer
    visit()
    look()
    answers.extend(operator.request("GET", place, status=200) for place in (path, detail, f"{detail}state/"))
    assert [each.json["input"] for each in answers if "input" in each.json] == ["********"] * 3
    told = "".join(each.text for each in answers) + caplog.text + repr(seen_in_database)
    assert PASSWORD not in told
    assert "$ecret" not in told
    assert operator.get(f"{detail}state/")["input_data"] == {"password": "********", "confirm_password": "********"}
    with reading(runtime.session_factory) as session:
        assert session.scalars(sa.select(Command.secret)).all() == [None]
    quoted = "'it'\"'\"'s $ecret'"
    assert host.told == [f"printf '%s\\n%s\\n' {quoted} {quoted} | passwd root"]


def test_output_can_be_watched_and_is_kept_up_to_a_limit(operator, path, host, visit, clock, runtime):
    made = operator.post(path, custom("flood"))["id"]
    limit = SSHSettings.of(runtime.settings).output_limit
    seen = []

    def watch(place):
        shown = operator.get(f"{path}{made}/state/", since=place)
        seen.append(shown["output"])
        return shown["next"]

    def answer(line, say):
        say("first ")
        assert watch(0) == 0
        clock.advance(1)
        say("second ")
        place = watch(0)
        say("\0third ")
        assert watch(place) == place
        # Nothing more is said for a while.
        clock.advance(1)
        say("")
        place = watch(place)
        clock.advance(1)
        say("fourth ")
        watch(place)
        say("." * limit)
        return 0

    host.answer = answer
    visit()
    assert seen == ["", "first second ", "", "\ufffdthird ", "fourth "]
    whole = operator.get(f"{path}{made}/")["output"]
    assert whole.startswith("".join(seen))
    assert len(whole) < limit + 200
    assert whole.endswith(f"[The output is longer than {limit} bytes: the rest was not kept.]\n")
    assert operator.get(f"{path}{made}/state/", since=len(whole))["output"] == ""
    operator.get(f"{path}{made}/state/", 400, since="x")


def test_organizations_use_the_types_that_they_may(operator, admin, organization, path, host, fleet, runtime):
    own = f"organization/{organization}/commands/"
    all_types = list(runtime.registry.command_types)
    assert operator.get(own) == {"organization": organization, "types": None, "allowed": all_types}
    operator.request("PUT", own, {"types": ["custom"]}, 403)
    assert admin.put(own, {"types": ["nope"]}, 400) == {"types": ['"nope" is not a valid choice.']}
    assert admin.put(own, {"types": ["reboot"]})["allowed"] == ["reboot"]
    assert operator.post(path, custom("ls"), 400) == {"type": ['"custom" is not a valid choice.']}
    operator.post(path, {"type": "reboot", "input": None})
    assert admin.patch(own, {"types": None})["allowed"] == all_types
    operator.post(path, custom("ls"))
    say(runtime.settings, organization_commands={"__all__": ["reboot"], str(uuid4()): "*"})
    operator.post(path, custom("ls"), 400)
    say(runtime.settings, organization_commands={"__all__": ["reboot"], organization: ["custom"]})
    operator.post(path, custom("ls"))
    operator.post(path, {"type": "reboot", "input": None}, 400)


def test_nobody_commands_devices_of_others(runtime, app, path, host, other_organization, operator, anonymous):
    made = operator.post(path, custom("ls"))
    stranger = Client(app, make_user(runtime, "stranger", other_organization, "Administrator"))
    for client, status in ((stranger, 404), (anonymous, 401)):
        client.request("POST", path, custom("ls"), status)
        client.request("GET", path, status=status)
        client.request("GET", f"{path}{made['id']}/", status=status)
        client.request("GET", f"{path}{made['id']}/state/", status=status)


def test_old_commands_go(operator, path, host, visit, clock, runtime):
    say(runtime.settings, command_retention=3600)
    operator.post(path, custom("old"))
    visit()
    clock.advance(3000)
    operator.post(path, custom("new"))
    operator.post(path, custom("waiting"))
    clock.advance(1000)
    command_service.delete_old(runtime)
    assert [each["input"] for each in operator.get(path)["results"]] == ["waiting", "new"]
    clock.advance(10_000)
    command_service.delete_old(runtime)
    assert operator.get(path)["count"] == 2


class Killed(BaseException):
    """The worker is gone, in the middle of it."""


def die(*arguments):
    raise Killed


DEATHS = {"connected": "_claim", "claimed": "_run", "done": "_finish"}
"""What the worker was about to do when it died."""
MOMENTS = ("connecting", *DEATHS, "running", "stopped before", "stopped while", "never")
STEP = st.one_of(st.just("command"), st.sampled_from(MOMENTS))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=2, max_size=10))
def test_no_history_of_crashes_runs_a_command_twice_or_forgets_one(steps, runtime, admin, organization, fleet, clock):
    number = len(fleet.hosts)
    device = admin.make_device(organization, f"d{number}", f"00:00:00:00:{number // 256:02x}:{number % 256:02x}")
    host, connection_id = fleet.wire(runtime, device["id"])
    path, id = f"device/{device['id']}/command/", UUID(device["id"])
    sent = []

    def work(moment):
        """A worker goes to the device when nobody is there any more, and dies at a moment, or is stopped for long."""
        clock.advance(1000)
        lease = Lease.claim(runtime, id)

        def open(connection):
            if moment == "connecting":
                raise Killed
            if moment == "stopped before":
                # Another one comes along; the command that this one is about to begin is not his any more.
                work("never")
            return Opened(Wire(host), UUID(connection_id), "")

        def answer(line, say):
            if moment == "running":
                raise Killed
            if moment == "stopped while":
                work("never")
            return 0

        host.answer = answer
        with pytest.MonkeyPatch.context() as patch:
            if moment in DEATHS:
                patch.setattr(executing, DEATHS[moment], die)
            with suppress(Killed, LeaseLost):
                while executing.run_next(runtime, lease, open):
                    pass

    for step in steps:
        if step == "command":
            sent.append(f"echo {len(sent)}")
            admin.post(path, custom(sent[-1]))
        else:
            work(step)
    work("never")
    assert host.told == [line for line in sent if line in host.told]
    results = admin.get(path, page_size=100)["results"]
    assert [each["input"] for each in reversed(results)] == sent
    for each in results:
        if each["status"] == "success":
            assert each["input"] in host.told
        else:
            assert (each["status"], each["output"]) == ("failed", executing.UNKNOWN)
