"""Stories of plugins: what a stranger's plugin can contribute, and what it is told when something is wrong with it."""

import hashlib
import io
import re
import socket
import tarfile
import types
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
import tunnel_plugin
from guywire import hookimpl, hookspecs
from guywire import plugin as plugin_module
from guywire.api.service import APIService
from guywire.app import create_app
from guywire.builtin import BUILTIN
from guywire.db import reading, writing
from guywire.errors import APIError, Invalid
from guywire.events import (
    ConfigModified,
    ConfigsCreated,
    ConfigStatusChanged,
    DeviceActivated,
    DeviceDeactivated,
    DevicePolled,
    DeviceRegistered,
    Event,
)
from guywire.interfaces import ArchiveFile, ConfigurationInvalid, ConnectionLimits, Job, MigrationSource, PermissionSet
from guywire.migration import upgrade
from guywire.models import Base, Device, Group, JobRecord
from guywire.plugin import PluginError, PluginHost, load_plugins, notify
from guywire.queue import Worker
from guywire.registry import Registry
from guywire.security import require, synchronize_permissions
from guywire.services.rendering import refresh_all
from guywire.services.status import await_polls, dependents_of_template, mark_stale
from guywire.testing import Client, Router
from guywire.testing.clients import OPENWRT
from webtest import TestApp

DOCS = Path(__file__).parent.parent / "docs" / "hooks.md"
ECHO = "stranger.Echo"
HOOKS = sorted(name for name, value in vars(hookspecs).items() if hasattr(value, "guywire_spec"))


class Echo:
    """A backend that writes what it was given, and falls over when it is asked to."""

    id = ECHO
    label = "Echo"
    schema = types.MappingProxyType({"type": "object"})

    def validate(self, config, templates, context, device_os=""):
        for layer in (*templates, config):
            if "wrong" in layer:
                raise ConfigurationInvalid("this is wrong", ("wrong", 0))
            if "broken" in layer:
                try:
                    {}["the pre-shared key"]
                except KeyError as error:
                    raise RuntimeError("a mistake with the password") from error

    def render(self, config, templates, context, device_os=""):
        self.validate(config, templates, context, device_os)
        words = [layer.get("say", "") for layer in (*templates, config)] + [str(context.get("word", ""))]
        return [ArchiveFile("echo", " ".join(words).encode(), 0o600)]


@dataclass(frozen=True, slots=True)
class Blinked(Event):
    """An event of the stranger's own."""

    times: int


class Veto(APIError):
    """What the stranger answers."""

    status = 418


class Stranger:
    """A plugin object that uses every hook."""

    def __init__(self):
        self.events, self.committed, self.runs, self.ticks = [], [], [], []
        self.vetoes = ()
        self.failing = False
        self.enqueues = False
        self.runtime = None

    @hookimpl
    def register_config_backends(self):
        return [Echo()]

    @hookimpl
    def register_permissions(self):
        return [PermissionSet("beacon", "beacon", operator=frozenset({"view"}), administrator=frozenset({"change"}))]

    @hookimpl
    def register_jobs(self):
        return [Job("stranger.run", self.run), Job("stranger.tick", self.tick, every=60.0)]

    @hookimpl
    def register_migrations(self):
        return []

    @hookimpl
    def register_services(self):
        return {Veto: self}

    def run(self, runtime, **arguments):
        self.runs.append(arguments)
        if self.failing:
            raise RuntimeError("the job fails")

    def tick(self, runtime):
        self.ticks.append(runtime)

    @hookimpl
    def configure(self, config):
        service = APIService(name="beacon", path="/api/v1/beacon/", description="The stranger's endpoint.")
        service.add_view("GET", self.get)
        service.add_view("POST", self.post)
        config.add_cornice_service(service)

    def get(self, request):
        identity = require(request.identity, request.method, "beacon")
        return {"name": identity.username, "ü": "☃", "at": datetime(2026, 1, 1, 12, 0, 0, 7, tzinfo=UTC)}

    def post(self, request):
        require(request.identity, request.method, "beacon")
        if request.GET.get("crash"):
            raise RuntimeError("password=secret")
        notify(request.db, Blinked(3))
        raise Invalid({"field": ["says the stranger"]})

    @hookimpl
    def on_event(self, session, event):
        self.events.append(event)
        if isinstance(event, self.vetoes):
            raise Veto({"detail": "says the stranger"})

    @hookimpl
    def after_commit(self, event, jobs):
        self.committed.append(event)
        if self.failing:
            raise RuntimeError("the plugin fails")
        if self.enqueues:
            jobs.enqueue("stranger.run", event=type(event).__name__)


@pytest.fixture
def stranger():
    return Stranger()


@pytest.fixture
def plugins(stranger):
    return [("stranger", stranger)]


def files_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: (member.mode, tar.extractfile(member).read()) for member in tar.getmembers()}


# What a plugin contributes


def test_a_strangers_backend_renders_templates_and_devices(admin, organization, router):
    template = admin.make_template(organization, backend=ECHO, config={"say": "hello"})
    device = admin.make_device(organization, backend=ECHO, templates=[template["id"]], config={"say": "you"})
    assert device["config"]["backend"] == ECHO
    agent = router(device)
    checksum = agent.poll()
    assert files_of(agent.download()) == {"echo": (0o600, b"hello you ")}
    assert checksum == hashlib.md5(agent.archive).hexdigest()
    agent.report("applied")
    admin.patch(f"device/{device['id']}/", {"config": {"context": {"word": "!"}}})
    assert agent.poll() != checksum
    assert files_of(agent.download()) == {"echo": (0o600, b"hello you !")}
    alone = admin.request("GET", f"template/{template['id']}/configuration/").body
    assert files_of(alone) == {"echo": (0o600, b"hello ")}


def test_what_a_strangers_backend_refuses_or_falls_over_is_a_clear_400(admin, organization, caplog):
    body = {"name": "t", "organization": organization, "backend": ECHO, "config": {"wrong": 1}}
    says = 'Invalid configuration triggered by "#/wrong/0", validator says:\n\nthis is wrong'
    assert admin.post("template/", body, 400) == {"__all__": [says]}
    [message] = admin.post("template/", body | {"config": {"broken": 1}}, 400)["__all__"]
    assert ECHO in message
    # The log tells what happened where, and no values: they may be keys and passwords.
    assert re.search(r"KeyError.*test_plugin_host.py.*in validate.*RuntimeError", caplog.text, re.DOTALL)
    assert not re.search(r"^\S*Error: ", caplog.text, re.MULTILINE)
    device = admin.make_device(organization, backend=ECHO, config={"say": "x"})
    errors = admin.patch(f"device/{device['id']}/", {"config": {"config": {"wrong": 1}}}, 400)
    assert errors == {"config": {"__all__": [says]}}
    assert admin.get(f"device/{device['id']}/") == device


def test_a_strangers_endpoint_answers_like_the_rest_of_the_api(admin, operator, anonymous, runtime):
    path = "/api/v1/beacon/"
    assert anonymous.get(path, 401) == {"detail": "Authentication credentials were not provided."}
    assert operator.get(path) == {"name": "operator", "ü": "☃", "at": "2026-01-01T12:00:00.000007Z"}
    assert operator.request("GET", path, status=406, headers={"Accept": "text/csv"}).json.keys() == {"detail"}
    answer = operator.request("DELETE", path, status=405)
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    headers = {"Authorization": f"Bearer {operator.token}"}
    assert operator.app.options(path, headers=headers).json["description"] == "The stranger's endpoint."
    assert operator.post(path, {}, 403) == {"detail": "You do not have permission to perform this action."}
    assert admin.post(path, {}, 400) == {"field": ["says the stranger"]}


def test_an_endpoint_that_crashes_tells_the_log_everything_and_the_client_nothing(admin, caplog):
    assert admin.post("/api/v1/beacon/?crash=1", {}, 500) == {"detail": "Internal server error."}
    assert "password=secret" in caplog.text
    assert admin.get("template/")["count"] == 0


def test_a_strangers_permissions_are_given_to_the_stock_groups_once(runtime):
    def permissions(name):
        with reading(runtime.session_factory) as session:
            group = session.scalars(sa.select(Group).where(Group.name == name)).one()
            return {each.codename for each in group.permissions if each.resource == "beacon"}

    with writing(runtime.session_factory) as session:
        # The fixtures have done it when they made the database.
        assert synchronize_permissions(session, runtime.registry) == []
    assert (permissions("Operator"), permissions("Administrator")) == ({"view_beacon"}, {"change_beacon"})
    with writing(runtime.session_factory) as session:
        group = session.scalars(sa.select(Group).where(Group.name == "Operator")).one()
        group.permissions = [each for each in group.permissions if each.resource != "beacon"]
    with writing(runtime.session_factory) as session:
        synchronize_permissions(session, runtime.registry)
    assert permissions("Operator") == set()


def test_a_job_runs_when_it_is_asked_for_and_repeating_ones_by_themselves(stranger, runtime, worker):
    runtime.queue.enqueue("stranger.run", a=1)
    runtime.queue.enqueue("stranger.run", a=1)
    runtime.queue.enqueue("stranger.run", a=2)
    for elapsed in (0.0, 1.0, 59.0):
        worker.run_due(elapsed)
    assert stranger.runs == [{"a": 1}, {"a": 2}]
    assert stranger.ticks == [runtime]
    worker.run_due(60.0)
    assert len(stranger.ticks) == 2


def test_a_job_that_fails_is_tried_again_later_each_time_and_then_given_up(stranger, runtime, worker, clock, caplog):
    stranger.failing = True
    runtime.queue.enqueue("stranger.run")
    for attempt in range(1, 6):
        worker.run_due(0.0)
        worker.run_due(0.0)
        assert len(stranger.runs) == attempt
        clock.advance(2**attempt)
    worker.run_due(0.0)
    assert len(stranger.runs) == 5
    assert "given up" in caplog.text
    with reading(runtime.session_factory) as session:
        assert session.scalars(sa.select(JobRecord.state).where(JobRecord.name == "stranger.run")).all() == ["failed"]


def test_a_job_that_nobody_knows_any_more_hinders_no_other(stranger, runtime, worker):
    runtime.queue.enqueue("of a plugin that is gone")
    runtime.queue.enqueue("stranger.run")
    worker.run_due(0.0)
    assert stranger.runs == [{}]


# Events


def types_of(events):
    return [type(event) for event in events]


def of_the_core(events):
    """Without the events of other plugins."""
    return [event for event in events if type(event).__module__ == ConfigModified.__module__]


def test_a_plugin_hears_what_happens_before_the_commit_and_after_it(admin, organization, stranger, router):
    device = admin.make_device(organization)
    device_id, [config_id] = UUID(device["id"]), stranger.events[0].config_ids
    assert stranger.events == stranger.committed == [ConfigsCreated((config_id,))]
    stranger.events.clear()
    stranger.committed.clear()
    agent = router(device)
    agent.apply()
    applied = ConfigStatusChanged(config_id, device_id, "modified", "applied")
    assert stranger.events == stranger.committed == [applied]
    stranger.committed.clear()
    admin.patch(f"device/{device['id']}/", {"config": {"config": {"general": {"timezone": "Europe/Rome"}}}})
    modified = ConfigStatusChanged(config_id, device_id, "applied", "modified")
    assert of_the_core(stranger.committed) == [ConfigModified(config_id, device_id), modified]
    stranger.committed.clear()
    admin.patch(f"device/{device['id']}/", {"notes": "nothing happens"})
    assert stranger.committed == []
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    admin.post(f"device/{device['id']}/activate/", status=200)
    assert DeviceDeactivated(device_id) in stranger.committed
    assert DeviceActivated(device_id) in stranger.committed


def test_a_poll_that_is_awaited_is_announced_once_and_answered_like_any_other(
    admin, organization, stranger, router, runtime
):
    agent = router(admin.make_device(organization))
    checksum = agent.poll()

    def announced(**options):
        heard = len(stranger.events)
        assert agent.poll(**options) == checksum
        return stranger.events[heard:]

    with writing(runtime.session_factory) as session:
        await_polls(session, [UUID(agent.id)])
    agent.app.get(f"/controller/checksum/{agent.id}/", {"key": "wrong"}, status=403)
    assert announced() == [DevicePolled(UUID(agent.id))] == stranger.committed[-1:]
    assert announced() == []
    with writing(runtime.session_factory) as session:
        await_polls(session, sa.select(Device.id))
    stranger.vetoes = DevicePolled
    assert announced() == [DevicePolled(UUID(agent.id))]
    assert announced() == []


def test_a_veto_is_the_answer_and_undoes_everything(admin, organization, stranger, runtime):
    device = admin.make_device(organization, context={"kept": "x"})
    before = admin.get(f"device/{device['id']}/")
    stranger.committed.clear()
    stranger.vetoes = (DeviceDeactivated,)
    assert admin.post(f"device/{device['id']}/deactivate/", status=418) == {"detail": "says the stranger"}
    assert admin.get(f"device/{device['id']}/") == before
    assert ConfigModified in types_of(stranger.events)
    assert stranger.committed == []
    stranger.vetoes = (ConfigModified,)
    change = {"config": {"config": {"general": {"timezone": "Europe/Rome"}}}, "notes": "lost"}
    admin.patch(f"device/{device['id']}/", change, 418)
    assert admin.get(f"device/{device['id']}/") == before
    stranger.vetoes = ()
    assert admin.patch(f"device/{device['id']}/", change)["notes"] == "lost"


def test_a_veto_at_the_devices_door_registers_nothing(app, organization, stranger, runtime, admin):
    mac_address = "00:11:22:33:44:55"
    form = {"secret": "secret", "name": "router", "mac_address": mac_address, "backend": OPENWRT}
    stranger.vetoes = (DeviceRegistered,)
    app.post("/controller/register/", form, status=418)
    assert admin.get("device/")["count"] == 0
    assert stranger.committed == []
    stranger.vetoes = ()
    app.post("/controller/register/", form, status=201)
    [registered] = [event for event in stranger.committed if isinstance(event, DeviceRegistered)]
    [device] = admin.get("device/")["results"]
    assert registered == DeviceRegistered(UUID(device["id"]), UUID(organization), True)


def test_a_request_that_fails_later_leaves_no_event_behind(admin, stranger):
    """The endpoint tells of an event and then refuses."""
    admin.post("/api/v1/beacon/", {}, 400)
    assert stranger.events == [Blinked(3)]
    assert stranger.committed == []
    admin.post("/api/v1/users/organization/", {"name": "o", "slug": "o"})
    assert stranger.committed == []


def test_after_commit_finds_committed_data_and_can_ask_for_jobs(admin, organization, stranger, runtime, worker):
    seen = []

    def look(event, jobs):
        with reading(runtime.session_factory) as session:
            seen.extend(session.scalars(sa.select(Device.is_deactivated)))
        jobs.enqueue("stranger.run", event=type(event).__name__)

    device = admin.make_device(organization)
    runtime.host.manager.register(types.SimpleNamespace(after_commit=hookimpl(look)), "looker")
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    assert seen
    assert all(seen)
    worker.run_due(0.0)
    assert {"event": "DeviceDeactivated"} in stranger.runs


def test_what_after_commit_raises_does_not_reach_the_client(admin, organization, stranger, caplog, router):
    device = admin.make_device(organization)
    stranger.failing = True
    assert admin.post(f"device/{device['id']}/deactivate/", status=200)["is_deactivated"]
    assert "plugin stranger failed after the commit" in caplog.text
    router(device).download()
    assert admin.get(f"device/{device['id']}/")["is_deactivated"]


def test_savepoints_share_the_fate_of_what_is_around_them(stranger, runtime):
    numbers = iter(range(100))

    def blink(session):
        number = next(numbers)
        notify(session, Blinked(number))
        return number

    with writing(runtime.session_factory) as session:
        kept = [blink(session)]
        with session.begin_nested():
            kept.append(blink(session))
            assert stranger.committed == []
            with session.begin_nested() as inner:
                blink(session)
                with session.begin_nested():
                    blink(session)
                inner.rollback()
            kept.append(blink(session))
        # Released, but not committed.
        assert stranger.committed == []
        with session.begin_nested() as outer:
            blink(session)
            session.begin_nested()
            blink(session)
            outer.rollback()
        kept.append(blink(session))
        notify(session, Blinked(kept[0]))
    assert [event.times for event in stranger.committed] == kept
    stranger.committed.clear()
    with runtime.session_factory() as session:
        with session.begin_nested():
            blink(session)
        session.rollback()
        session.commit()
        with session.begin_nested():
            last = blink(session)
        session.commit()
        session.commit()
    assert stranger.committed == [Blinked(last)]


def test_an_implementation_gets_only_the_arguments_that_it_names(admin, organization, runtime):
    heard = []
    only_event = types.SimpleNamespace(on_event=hookimpl(lambda event: heard.append(event)))
    nothing = types.SimpleNamespace(after_commit=hookimpl(lambda: heard.append(None)))
    runtime.host.manager.register(only_event, "only-event")
    runtime.host.manager.register(nothing, "nothing")
    device = admin.post("device/", {"name": "ap", "organization": organization, "mac_address": "00:11:22:33:44:55"})
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    assert heard == [DeviceDeactivated(UUID(device["id"])), None]


# What is wrong with a plugin is said at the start


def plugin(**functions):
    return types.SimpleNamespace(**{name: hookimpl(function) for name, function in functions.items()})


@pytest.fixture(autouse=True)
def _nothing_installed(request, monkeypatch):
    """Only the plugins that a test names, where it starts no application."""
    if "database_url" not in request.fixturenames:
        monkeypatch.setattr(plugin_module, "entry_points", lambda group: [])


def start(*plugins, blocked=()):
    return Registry(load_plugins(BUILTIN, blocked, plugins))


@pytest.mark.parametrize(
    ("plugins", "words"),
    [
        ([("lamp", plugin(register_lamps=lambda: []))], ["'lamp'", "register_lamps", "docs/hooks.md"]),
        ([("lamp", plugin(on_event=lambda session, events: None))], ["'lamp'", "on_event", "events"]),
        ([("lamp", plugin(register_jobs=lambda runtime: []))], ["'lamp'", "register_jobs", "runtime"]),
        ([("core", plugin())], ["two plugins", "'core'"]),
        ([("lamp", plugin()), ("lamp", plugin())], ["two plugins", "'lamp'"]),
        (
            [("lamp", plugin(register_config_backends=lambda: [types.SimpleNamespace(id=OPENWRT)]))],
            [OPENWRT, "'netjsonconfig'", "'lamp'", "config backend"],
        ),
        (
            [
                ("a", plugin(register_jobs=lambda: [Job("j", print)])),
                ("b", plugin(register_jobs=lambda: [Job("j", print)])),
            ],
            ["'j'", "'a'", "'b'", "job"],
        ),
        (
            [("lamp", plugin(register_permissions=lambda: [PermissionSet("device", "device")]))],
            ["'device'", "'core'", "'lamp'", "permission"],
        ),
        (
            [("lamp", plugin(register_migrations=lambda: [MigrationSource("core", "x", Base.metadata)]))],
            ["'core'", "'lamp'", "migration"],
        ),
        (
            [("lamp", plugin(register_migrations=lambda: [MigrationSource("lamp", "x", Base.metadata, ("pki",))]))],
            ["'lamp'", "'pki'", "install"],
        ),
        (
            [
                ("a", plugin(register_migrations=lambda: [MigrationSource("a", "x", Base.metadata, ("b",))])),
                ("b", plugin(register_migrations=lambda: [MigrationSource("b", "x", Base.metadata, ("a",))])),
            ],
            ["circle", "'a'", "'b'"],
        ),
        (
            [("a", plugin(register_services=lambda: {Veto: 1})), ("b", plugin(register_services=lambda: {Veto: 2}))],
            ["Veto", "'a'", "'b'", "block"],
        ),
        ([("lamp", plugin(register_services=lambda: [Veto]))], ["'lamp'", "register_services", "Veto"]),
        ([("lamp", plugin(register_services=lambda: {"Veto": 1}))], ["'lamp'", "register_services", "'Veto'"]),
        ([("lamp", plugin(register_jobs=lambda: 1 / 0))], ["'lamp'", "register_jobs", "ZeroDivisionError"]),
        ([("lamp", plugin(register_jobs=lambda: 7))], ["'lamp'", "register_jobs", "int"]),
        ([("lamp", plugin(register_jobs=lambda: ["a job"]))], ["'lamp'", "a job", "'name'"]),
    ],
)
def test_a_wrong_plugin_is_named_with_what_is_wrong_about_it(plugins, words):
    with pytest.raises(PluginError) as caught:
        start(*plugins)
    for word in words:
        assert word in str(caught.value)


def test_a_service_is_found_by_its_protocol(stranger):
    assert start(("stranger", stranger)).services[Veto] is stranger
    assert start().services.get(Veto) is None


def test_plugins_load_in_order_and_may_contribute_nothing():
    registry = start(("b", plugin(register_jobs=lambda: None)), ("a", plugin(register_jobs=lambda: [Job("j", print)])))
    names = registry.host.names()
    # Whatever is installed comes between.
    assert (names[:2], names[-2:]) == (["core", "netjsonconfig"], ["b", "a"])
    assert list(registry.jobs) == [*start().jobs, "j"]
    migrations = plugin(register_migrations=lambda: [MigrationSource("a", "x", Base.metadata, ("z",))])
    needed = plugin(register_migrations=lambda: [MigrationSource("z", "x", Base.metadata)])
    owners = [source.owner for source in start(("a", migrations), ("z", needed)).migrations]
    assert owners[0] == "core"
    assert owners.index("z") < owners.index("a")


@pytest.fixture
def install(monkeypatch):
    """Make entry points look installed."""

    def install(**plugins):
        points = [EntryPoint(name, value, "guywire") for name, value in plugins.items()]
        monkeypatch.setattr(plugin_module, "entry_points", lambda group: points if group == "guywire" else [])

    return install


def test_installed_plugins_are_found_by_their_entry_points(install, monkeypatch, tmp_path):
    (tmp_path / "lamp_of_a_stranger.py").write_text(
        "from guywire import hookimpl\nfrom guywire.interfaces import Job\n\n\n"
        '@hookimpl\ndef register_jobs():\n    return [Job("lamp", print)]\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    install(lamp="lamp_of_a_stranger")
    registry = start()
    assert registry.host.names() == ["core", "netjsonconfig", "lamp"]
    assert "lamp" in registry.jobs
    assert "lamp" not in start(blocked=["lamp"]).jobs


def test_a_plugin_that_cannot_be_imported_is_named_and_can_be_blocked(install, monkeypatch, tmp_path):
    (tmp_path / "broken_lamp.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    for value, reason in (("no_such_module", "ModuleNotFoundError"), ("broken_lamp", "ZeroDivisionError")):
        install(lamp=value)
        with pytest.raises(PluginError) as caught:
            start()
        for word in ("'lamp'", value, reason, "guywire.plugins.blocked = lamp"):
            assert word in str(caught.value)
        assert start(blocked=["lamp"]).host.names() == ["core", "netjsonconfig"]


def test_blocked_names_must_exist_and_the_core_cannot_be_blocked():
    with pytest.raises(PluginError, match=r"guywire\.plugins\.blocked names unknown plugins: a, b$"):
        start(blocked=["b", "netjsonconfig", "a"])
    with pytest.raises(PluginError, match="'core' cannot be blocked"):
        start(blocked=["core"])
    assert start(("lamp", plugin()), blocked=["lamp"]).host.names() == ["core", "netjsonconfig"]


# Without the built-in backends


@pytest.fixture
def without_netjsonconfig(settings, clock):
    """An application on the same database where the plugin netjsonconfig is blocked."""
    application = create_app(replace(settings, plugins_blocked=frozenset({"netjsonconfig"})), clock=clock)
    yield TestApp(application)
    application.registry.poll_reader.close()
    application.registry.runtime.close()


def test_without_the_plugin_of_its_backend_a_device_keeps_its_last_good_archive(
    admin, organization, router, without_netjsonconfig, caplog
):
    template = admin.make_template(organization)
    device = admin.make_device(organization, templates=[template["id"]])
    agent = router(device)
    agent.apply()
    checksum, archive = agent.checksum, agent.archive
    client = Client(without_netjsonconfig, admin.token)
    agent = Router(without_netjsonconfig, device["id"], device["key"])
    runtime = without_netjsonconfig.app.registry.runtime
    assert runtime.registry.config_backends == {}
    assert agent.poll() == checksum
    assert agent.download() == archive
    assert client.state(device)["status"] == "applied"
    # Even when something that it depends on changes.
    with writing(runtime.session_factory) as session:
        mark_stale(session, dependents_of_template(UUID(template["id"])))
    refresh_all(runtime.session_factory, runtime.renderer, runtime.clock)
    assert agent.poll() == checksum
    assert agent.download() == archive
    state = client.state(device)
    assert state["status"] == "modified"
    assert OPENWRT in state["rendering_error"]["message"]
    assert state["rendering_error"]["template"] is None
    # With the plugin again it is tried again at the next change, and then it is as before.
    admin.patch(f"template/{template['id']}/", {"default_values": {"a": "b"}})
    assert admin.state(device)["status"] == "applied"


def test_without_its_plugin_a_backend_is_no_choice_and_nothing_falls_over(
    admin, organization, without_netjsonconfig, caplog
):
    template = admin.make_template(organization)
    device = admin.make_device(organization, templates=[template["id"]])
    client = Client(without_netjsonconfig, admin.token)
    not_a_choice = [f'"{OPENWRT}" is not a valid choice.']
    body = {"name": "new", "organization": organization, "backend": OPENWRT, "config": {"general": {}}}
    assert client.post("template/", body, 400) == {"backend": not_a_choice}
    config = {"backend": OPENWRT, "templates": [], "context": {}, "config": {"general": {"timezone": "UTC"}}}
    new = {"name": "new", "organization": organization, "mac_address": "00:00:00:00:00:01"}
    assert client.post("device/", new | {"config": config}, 400) == {"config": {"backend": not_a_choice}}
    bare = client.post("device/", new)
    assert bare["config"] is None
    assert "config" in client.patch(f"device/{bare['id']}/", {"config": {"context": {"a": "b"}}}, 400)
    assert client.get("template/")["count"] == 1
    assert client.get("device/")["count"] == 2
    assert client.get(f"template/{template['id']}/") == template
    unavailable = f'The backend "{OPENWRT}" is not available'
    for answer in (
        client.get(f"template/{template['id']}/configuration/", 400),
        client.patch(f"template/{template['id']}/", {"notes": "x"}, 400),
        client.patch(f"device/{device['id']}/", {"name": "renamed"}, 400),
        client.post(f"device/{device['id']}/deactivate/", status=400),
    ):
        assert unavailable in str(answer)
    assert client.request("GET", f"device/{device['id']}/configuration/").body
    assert client.patch(f"device/{device['id']}/", {"notes": "x"})["notes"] == "x"
    mac_address = "00:00:00:00:00:02"
    form = {"secret": "secret", "name": mac_address, "mac_address": mac_address, "backend": OPENWRT}
    assert without_netjsonconfig.post("/controller/register/", form, status=403).text == "error: wrong backend\n"
    client.delete(f"device/{device['id']}/?force=true")


# Documentation


def documented():
    """The hooks that have a heading in the documentation, and the text below each."""
    parts = re.split(r"^## (.+)$", DOCS.read_text(), flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {heading.strip("`"): text for heading, text in pairs if heading.startswith("`")}


def example(name, folder):
    """The plugin that the documentation gives as an example of a hook."""
    [code] = re.findall(r"^```python\n(.*?)^```$", documented()[name], flags=re.MULTILINE | re.DOTALL)
    module = types.ModuleType(f"example_of_{name}")
    module.__file__ = str(folder / "example.py")
    exec(compile(code, f"hooks.md ({name})", "exec"), vars(module))
    return module


def test_every_hook_is_described_in_code_and_documentation_and_used():
    assert HOOKS
    assert sorted(documented()) == HOOKS
    host = PluginHost()
    in_tree_plugins = [*dict(BUILTIN).values(), *(entry.load() for entry in entry_points(group="guywire"))]
    for name in HOOKS:
        assert len(getattr(hookspecs, name).__doc__) > 40, name
        text = documented()[name]
        for word in ("- Arguments: ", "- Returns: ", "- Called: "):
            assert word in text, (name, word)
        for argument in getattr(host.hook, name).spec.argnames:
            assert f"`{argument}`" in text, (name, argument)
        in_tree = any(hasattr(module, name) for module in in_tree_plugins)
        assert in_tree or name in vars(Stranger) or hasattr(tunnel_plugin, name), name


@pytest.fixture
def example_app(settings, clock, tmp_path, app):
    """An application with all examples of the documentation as plugins, and the fixtures' one stopped."""
    examples = [(f"example-{name}", example(name, tmp_path)) for name in HOOKS]
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "lamp_0001.py").write_text(
        '"""A table."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
        'revision = "lamp_0001"\ndown_revision = branch_labels = depends_on = None\n\n\n'
        'def upgrade():\n    op.create_table("lamp_lamp", sa.Column("id", sa.Integer(), primary_key=True))\n'
    )
    # They provide what installed plugins provide as well, so these stay out.
    others = frozenset(entry.name for entry in entry_points(group="guywire"))
    application = create_app(replace(settings, plugins_blocked=others), plugins=examples, clock=clock)
    yield TestApp(application)
    application.registry.poll_reader.close()
    application.registry.runtime.close()


def test_every_example_of_the_documentation_does_what_it_says(example_app, admin, operator, organization, clock):
    runtime = example_app.app.registry.runtime
    client, user = Client(example_app, admin.token), Client(example_app, operator.token)
    assert upgrade(runtime.engine, runtime.registry) == ["lamp:lamp_0001"]
    with writing(runtime.session_factory) as session:
        assert "view_lamp" in synchronize_permissions(session, runtime.registry)
    lamp = {"on": True, "seen_by": "operator", "at": "2026-01-01T12:00:00Z"}
    assert user.get("/api/v1/lamp/") == lamp
    config = {"message": "here is {name}"}
    device = client.make_device(organization, backend="lamp.Lamp", config=config)
    archive = client.request("GET", f"device/{device['id']}/configuration/").body
    assert files_of(archive) == {"etc/lamp": (0o644, b"here is router")}
    path = f"device/{device['id']}/"
    wrong = client.patch(path, {"config": {"config": {"message": 7}}}, 400)
    assert "7 is not of type 'string'" in wrong["config"]["__all__"][0]
    group = client.post("group/", {"name": "g", "organization": organization, "templates": []})
    client.patch(path, {"notes": "lamp is on", "group": group["id"]})
    assert client.get(path)["lit"] is True
    assert client.get("device/", lit="false")["count"] == 0
    assert client.get(f"{path}context/")["system"]["lamp"] == "on"
    rope = {
        "name": "rope",
        "host": "mast",
        "organization": organization,
        "backend": "lamp.Rope",
        "config": {"length": 9},
    }
    rope = client.post("vpn/", rope)
    tie = {"name": "tie", "organization": organization, "type": "vpn", "vpn": rope["id"], "backend": "lamp.Lamp"}
    client.patch(path, {"config": {"templates": [client.post("template/", tie)["id"]]}})
    blink = runtime.registry.command_types["blink"]
    assert blink.build({"text": "o'clock", "code": "9"}) == """lamp --blink 'o'"'"'clock' --code 9"""
    with pytest.raises(ValueError, match="in pairs"):
        blink.check({"text": "one", "code": "9"})
    with closing(socket.create_server(("127.0.0.1", 0))) as mast:
        telegraph = runtime.registry.connectors["lamp.Telegraph"]
        wire = telegraph.connect("127.0.0.1", {"port": mast.getsockname()[1]}, None, ConnectionLimits())
        with closing(wire), closing(mast.accept()[0]) as far_end:
            far_end.sendall(b"ok\n")
            runtime.registry.update_strategies["lamp.Blinking"].update(wire)
            assert far_end.recv(10) == b"blink\n"
    archive = client.request("GET", f"vpn/{rope['id']}/configuration/").body
    assert files_of(archive) == {"rope.conf": (0o644, b"tied 1\n")}
    assert client.get(f"cert/{device['name']}/group/", org="org1") == group
    client.get(f"cert/{device['name']}/group/", 404, org="org2")
    assert client.post(f"{path}deactivate/", status=409) == {"detail": "Switch the lamp off first."}
    client.patch(path, {"notes": ""})
    client.post(f"{path}deactivate/", status=200)
    client.post(f"{path}activate/", status=200)
    Worker(runtime.queue, runtime.registry.jobs, runtime).run_due(0.0)
    assert client.get(path)["notes"] == "in service again"
