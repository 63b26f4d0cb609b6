"""Stories of things that happen at the same time: nothing is lost, nobody is told nonsense, and the busy say so."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import guywire
import psycopg
import pytest
import sqlalchemy as sa
from guywire.api.device_import import BUSY
from guywire.app import create_app
from guywire.db import WRITES, reading, writing
from guywire.events import ConfigStatusChanged
from guywire.interfaces import ArchiveFile, ConfigBackend
from guywire.models import ConfigState, Device
from guywire.services import status
from guywire.services.devices import create_config
from guywire.services.rendering import read_inputs, refresh
from guywire.services.templates import hold_organization
from guywire.testing import Client, Router
from guywire.testing.clients import OPENWRT
from webtest import TestApp

PAUSING = "test.Pausing"
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
STRANGER = {"secret": "guessed", "name": "router", "mac_address": "00:11:22:33:44:55", "backend": OPENWRT}
PATIENCE = 30
"""Seconds after which a thread that waits for another one gives up: something went wrong then."""


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Call the functions in threads that start together. Returns what they return."""
    start = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        start.wait(PATIENCE)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [each.result() for each in [pool.submit(run, function) for function in functions]]


class Pausing(ConfigBackend):
    """A backend that can be stopped in the middle of a rendering. Its one file says what was rendered."""

    id = PAUSING
    label = "Pausing"
    schema: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.armed = False
        self.has_begun, self.may_go_on = threading.Event(), threading.Event()

    def validate(self, config, templates, context, device_os=""):
        pass

    def render(self, config, templates, context, device_os=""):
        if self.armed:
            # The next rendering goes through.
            self.armed = False
            self.has_begun.set()
            assert self.may_go_on.wait(PATIENCE)
        return [ArchiveFile("words", repr([templates, config, context.get("word")]).encode())]

    @contextmanager
    def stopped(self, render: Callable[[], Any]):
        """While the block runs, ``render`` is in the middle of rendering; afterwards it has ended."""
        self.has_begun.clear()
        self.may_go_on.clear()
        self.armed = True
        with ThreadPoolExecutor(1) as pool:
            rendering = pool.submit(render)
            try:
                assert self.has_begun.wait(PATIENCE)
                yield
            finally:
                self.may_go_on.set()
            rendering.result()


class Plugin:
    """Registers the backend, and can do something in the middle of a report."""

    def __init__(self) -> None:
        self.backend = Pausing()
        self.on_status: Callable[[], None] | None = None

    @guywire.hookimpl
    def register_config_backends(self):
        return [self.backend]

    @guywire.hookimpl
    def on_event(self, session, event):
        if isinstance(event, ConfigStatusChanged) and self.on_status is not None:
            act, self.on_status = self.on_status, None
            act()


@pytest.fixture
def plugin():
    return Plugin()


@pytest.fixture
def plugins(plugin):
    return [("test", plugin)]


@pytest.fixture
def settings(settings):
    """Patient ones: a busy machine must not make a test fail."""
    return replace(settings, busy_timeout=float(PATIENCE))


@pytest.fixture
def impatient(settings, plugin):
    """One more application on the same database that waits only a moment for a lock."""
    made = create_app(replace(settings, busy_timeout=0.1), plugins=[("test", plugin)])
    yield TestApp(made)
    made.registry.poll_reader.close()
    made.registry.runtime.close()


@pytest.fixture
def words(admin, organization):
    """A template of the pausing backend; ``words.edit(text)`` changes it, ``words.make_device()`` uses it."""

    class Words:
        def __init__(self) -> None:
            self.template = admin.make_template(organization, "words", backend=PAUSING, config={"text": "first"})

        def edit(self, text: str) -> None:
            admin.patch(f"template/{self.template['id']}/", {"config": {"text": text}})

        def make_device(self) -> Any:
            return admin.make_device(organization, backend=PAUSING, templates=[self.template["id"]])

    return Words()


@pytest.fixture
def device(words):
    return words.make_device()


@pytest.fixture
def state_of(runtime):
    """The stored state of a device."""

    def state_of(device: Any) -> ConfigState:
        with reading(runtime.session_factory) as session:
            return session.scalars(sa.select(ConfigState).where(ConfigState.device_id == UUID(str(device["id"])))).one()

    return state_of


def render(runtime: Any, state: ConfigState) -> None:
    refresh(runtime.session_factory, runtime.renderer, [state.config_id], runtime.clock())


def text_in(archive: bytes) -> str:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.extractfile("words").read().decode()


def check_nothing_is_out_of_date(runtime: Any) -> None:
    """Whatever is not marked stale is what would be rendered now."""
    with reading(runtime.session_factory) as session:
        states = {each.config_id: each for each in session.scalars(sa.select(ConfigState))}
        assert not [each for each in states.values() if status.is_stale(each)]
        for inputs in read_inputs(session, runtime.renderer, list(states)):
            state = states[inputs.config_id]
            assert runtime.renderer.render(inputs).digest == state.digest
            assert state.status == status.status_of(state)


# Registrations


@pytest.mark.parametrize("with_key", [True, False])
def test_a_router_that_registers_several_times_at_once_is_one_device(app, admin, organization, runtime, with_key):
    for number in range(4):
        mac_address = f"00:11:22:33:44:0{number}"
        form = {"secret": "secret", "name": f"router-{number}", "mac_address": mac_address, "backend": OPENWRT}
        if with_key:
            form["key"] = hashlib.md5(f"{mac_address}+secret".encode()).hexdigest()

        def register(form=form):
            return TestApp(app.app).post("/controller/register/", form, status="*")

        answers = at_once(*[register] * 6)
        statuses = sorted(answer.status_int for answer in answers)
        assert statuses == ([201] * 6 if with_key else [201] + [400] * 5)
        assert all(answer.headers["X-Openwisp-Controller"] == "true" for answer in answers)
        registered = [answer.text for answer in answers if answer.status_int == 201]
        assert len({text.rpartition("is-new")[0] for text in registered}) == 1
        assert sum("is-new: 1" in text for text in registered) == 1
        refused = {answer.text for answer in answers if answer.status_int == 400}
        assert all("already exists" in text for text in refused)
        assert admin.get("device/", mac_address=mac_address)["count"] == 1
    check_nothing_is_out_of_date(runtime)


# Edits


def test_edits_of_different_fields_at_once_lose_nothing(app, admin, organization, runtime):
    template = admin.make_template(organization)
    device = admin.make_device(organization)
    path = f"device/{device['id']}/"
    changes = (
        {"name": "renamed"},
        {"notes": "noted"},
        {"management_ip": "10.8.0.2"},
        {"config": {"config": {"general": {"description": "{{about}}"}}}},
        {"config": {"context": {"about": "a variable"}}},
        {"config": {"templates": [template["id"]]}},
    )
    at_once(*(lambda body=body: Client(TestApp(app.app), admin.token).patch(path, body) for body in changes))
    detail = admin.get(path)
    for body in changes:
        for name, value in body.items():
            if name == "config":
                for part, wanted in value.items():
                    assert detail["config"][part] == wanted
            else:
                assert detail[name] == value
    check_nothing_is_out_of_date(runtime)


@ON_POSTGRESQL
def test_an_edit_that_had_to_wait_for_another_one_sees_what_that_did(app, admin, organization, runtime):
    """Both have read the old configuration by the time that one of them may change it."""
    device = admin.make_device(organization)
    path = f"device/{device['id']}/"
    config = {"general": {"description": "{{about}}"}}
    with ThreadPoolExecutor(2) as pool, runtime.engine.connect() as connection, runtime.engine.connect() as watch:
        connection.execute(sa.select(Device.id).where(Device.id == UUID(device["id"])).with_for_update())
        edits = [
            pool.submit(Client(TestApp(app.app), admin.token).patch, path, {"config": body})
            for body in ({"config": config}, {"context": {"about": "a variable"}})
        ]
        wait_for_waiting(watch, 2)
        connection.rollback()
        answers = [edit.result() for edit in edits]
    detail = admin.get(path)
    assert (detail["config"]["config"], detail["config"]["context"]) == (config, {"about": "a variable"})
    assert detail["config"] in [answer["config"] for answer in answers]
    check_nothing_is_out_of_date(runtime)


@ON_POSTGRESQL
def test_the_last_of_two_edits_of_one_field_wins_even_if_it_restores_what_was_there(app, admin, organization, runtime):
    device = admin.make_device(organization)
    path, before = f"device/{device['id']}/", device["config"]["config"]
    other = {"general": {"description": "other"}}
    with ThreadPoolExecutor(2) as pool, runtime.engine.connect() as connection, runtime.engine.connect() as watch:
        connection.execute(sa.select(Device.id).where(Device.id == UUID(device["id"])).with_for_update())
        edits = []
        for count, config in enumerate((other, before), 1):
            here = Client(TestApp(app.app), admin.token)
            edits.append(pool.submit(here.patch, path, {"config": {"config": config}}))
            wait_for_waiting(watch, count)
        connection.rollback()
        answers = [edit.result()["config"]["config"] for edit in edits]
    assert answers == [other, before]
    assert admin.get(path)["config"]["config"] == before
    check_nothing_is_out_of_date(runtime)


@ON_POSTGRESQL
def test_a_deactivation_that_had_to_wait_for_an_edit_empties_what_that_made(app, admin, organization, runtime):
    device = admin.make_device(organization, config={}, context={"a": "b"})
    path = f"device/{device['id']}/"
    config = {"general": {"description": "late"}}
    with ThreadPoolExecutor(2) as pool, runtime.engine.connect() as connection, runtime.engine.connect() as watch:
        connection.execute(sa.select(Device.id).where(Device.id == UUID(device["id"])).with_for_update())
        edit = pool.submit(Client(TestApp(app.app), admin.token).patch, path, {"config": {"config": config}})
        wait_for_waiting(watch, 1)
        end = pool.submit(Client(TestApp(app.app), admin.token).post, f"{path}deactivate/", status=200)
        wait_for_waiting(watch, 2)
        connection.rollback()
        assert edit.result()["config"]["config"] == config
        assert end.result()["config"]["config"] == {}
    assert admin.get(path)["config"]["config"] == {}
    check_nothing_is_out_of_date(runtime)


@ON_POSTGRESQL
def test_a_template_that_becomes_required_waits_for_devices_that_are_being_made(app, admin, organization, runtime):
    template = admin.make_template(organization)
    with ThreadPoolExecutor(1) as pool, runtime.engine.connect() as watch:
        with writing(runtime.session_factory) as session:
            device = Device(
                id=UUID(int=1), organization_id=UUID(organization), name="new", mac_address="00:11:22:33:44:55", key="k"
            )
            device.created = device.modified = runtime.clock()
            session.add(device)
            create_config(session, runtime.renderer, device, runtime.clock(), backend=OPENWRT)
            edit = pool.submit(
                Client(TestApp(app.app), admin.token).patch, f"template/{template['id']}/", {"required": True}
            )
            wait_for_waiting(watch, 1)
        edit.result()
    assert admin.get(f"device/{UUID(int=1)}/")["config"]["templates"] == [template["id"]]
    check_nothing_is_out_of_date(runtime)


@ON_POSTGRESQL
@pytest.mark.parametrize("kind", ["template", "group"])
def test_who_makes_a_device_and_who_changes_what_it_gets_do_not_wait_for_each_other(
    app, admin, organization, runtime, kind
):
    template = admin.make_template(organization)
    group = admin.post("group/", {"name": "g", "organization": organization, "templates": []})
    changes = {"template": {"required": True}, "group": {"templates": [template["id"]]}}
    changed = {"template": template, "group": group}[kind]
    id = UUID(int=1)
    with ThreadPoolExecutor(1) as pool, runtime.engine.connect() as watch:
        with writing(runtime.session_factory) as session:
            hold_organization(session, UUID(organization))
            patch = Client(TestApp(app.app), admin.token).patch
            edit = pool.submit(patch, f"{kind}/{changed['id']}/", {"name": "renamed", **changes[kind]})
            wait_for_waiting(watch, 1)
            device = Device(id=id, organization_id=UUID(organization), name="new", key="k")
            device.mac_address, device.group_id = "00:11:22:33:44:55", UUID(group["id"])
            device.created = device.modified = runtime.clock()
            session.add(device)
            given = [UUID(template["id"])] if kind == "template" else []
            create_config(session, runtime.renderer, device, runtime.clock(), backend=OPENWRT, templates=given)
        assert edit.result()["name"] == "renamed"
    assert admin.get(f"device/{id}/")["config"]["templates"] == [template["id"]]
    check_nothing_is_out_of_date(runtime)


def wait_for_waiting(connection: sa.Connection, count: int) -> None:
    """Until so many others wait for a lock."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    pause = threading.Event()
    for _ in range(PATIENCE * 100):
        if connection.scalar(waiting) == count:
            return
        # PostgreSQL shows a transaction the same statistics for as long as it lasts.
        connection.rollback()
        pause.wait(0.01)
    raise AssertionError("nobody waits")


def test_random_work_on_all_doors_at_once_ends_well(app, admin, organization, runtime, worker):
    """Templates are edited and assigned, devices poll, report and register, the worker works: all at the same time."""
    template = admin.make_template(organization)
    devices = [admin.make_device(organization, f"router-{last}", f"00:11:22:33:44:0{last}") for last in range(4)]

    def client() -> Client:
        return Client(TestApp(app.app), admin.token)

    def edit() -> None:
        here = client()
        for number in range(12):
            config = {"interfaces": [{"name": f"eth{number}", "type": "ethernet"}]}
            here.patch(f"template/{template['id']}/", {"config": config})

    def assign() -> None:
        here = client()
        for number in range(12):
            body = {"config": {"templates": [template["id"]] if number % 3 else []}}
            here.patch(f"device/{devices[number % 2]['id']}/", body)

    def live() -> None:
        for number in range(12):
            device = devices[number % 4]
            agent = Router(TestApp(app.app), device["id"], device["key"])
            agent.poll(management_ip=f"10.8.0.{number % 3}")
            agent.download(management_ip=f"10.8.0.{number % 3}")
            agent.report("applied")
            agent.update_info(os=f"OpenWrt {19 + number % 5}")

    def work() -> None:
        for number in range(12):
            worker.run_due(number * 10.0)

    at_once(edit, assign, live, live, work)
    worker.run_due(1000.0)
    check_nothing_is_out_of_date(runtime)
    # Whatever the routers said last, a quiet round makes everything right.
    for device in devices:
        Router(app, device["id"], device["key"]).apply()
        assert admin.state(device)["status"] == "applied"


# Renderings


def test_an_edit_that_lands_while_a_rendering_runs_is_not_lost(admin, words, device, state_of, runtime, plugin, router):
    words.edit("second")
    with plugin.backend.stopped(lambda: render(runtime, state_of(device))):
        words.edit("third")
    state = state_of(device)
    assert status.is_stale(state)
    assert status.status_of(state) == "modified"
    agent = router(device)
    checksum = agent.poll()
    assert "third" in text_in(agent.download())
    assert agent.checksum == checksum
    check_nothing_is_out_of_date(runtime)


def test_a_worker_goes_on_until_nothing_is_stale(words, device, state_of, runtime, plugin, worker):
    words.edit("second")
    with plugin.backend.stopped(lambda: worker.run_due(0.0)):
        words.edit("third")
    check_nothing_is_out_of_date(runtime)


def test_of_two_renderings_at_once_the_newer_one_is_kept(words, device, state_of, runtime, plugin, router):
    words.edit("second")
    with plugin.backend.stopped(lambda: render(runtime, state_of(device))):
        words.edit("third")
        render(runtime, state_of(device))
        newer = state_of(device)
    assert (state_of(device).checksum, state_of(device).generation) == (newer.checksum, newer.generation)
    assert "third" in text_in(router(device).download())
    check_nothing_is_out_of_date(runtime)


def test_a_rendering_that_ends_after_a_deactivation_brings_nothing_back(
    admin, words, device, state_of, runtime, plugin, router
):
    router(device).apply()
    words.edit("second")
    with plugin.backend.stopped(lambda: render(runtime, state_of(device))):
        admin.post(f"device/{device['id']}/deactivate/", status=200)
    assert admin.state(device)["status"] == "deactivating"
    agent = router(device)
    assert "second" not in text_in(agent.download())
    assert agent.report().endswith("current-status: deactivated\n")


def test_a_device_that_is_deleted_while_it_is_rendered_disturbs_nobody(
    admin, organization, words, device, state_of, runtime, plugin, worker
):
    other = admin.make_device(organization, "other", "00:11:22:33:44:66", templates=[words.template["id"]])
    words.edit("second")
    with plugin.backend.stopped(lambda: worker.run_due(0.0)):
        admin.delete(f"device/{device['id']}/?force=true")
    assert not status.is_stale(state_of(other))
    check_nothing_is_out_of_date(runtime)


def test_a_template_that_is_deleted_while_its_devices_are_read_disturbs_nobody(
    admin, words, device, state_of, runtime, router
):
    """Between the list of a configuration's templates and the templates themselves."""
    words.edit("second")
    deleted = []

    def delete(connection, cursor, statement, parameters, context, executemany):
        if "FROM template \nWHERE template.id IN" in statement and not deleted:
            deleted.append(True)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(admin.delete, f"template/{words.template['id']}/").result()

    sa.event.listen(runtime.engine, "before_cursor_execute", delete)
    try:
        render(runtime, state_of(device))
    finally:
        sa.event.remove(runtime.engine, "before_cursor_execute", delete)
    assert deleted
    agent = router(device)
    agent.poll()
    assert "second" not in text_in(agent.download())
    check_nothing_is_out_of_date(runtime)


def test_many_polls_of_what_is_stale_get_the_same_new_answer(app, words, device, runtime):
    for number in range(3):
        words.edit(f"text {number}")
        polls = [lambda: Router(TestApp(app.app), device["id"], device["key"]).poll()] * 8
        assert len(set(at_once(*polls))) == 1
    check_nothing_is_out_of_date(runtime)


# Reports


def test_a_report_that_lands_while_a_rendering_is_stored_is_not_believed_of_it(
    admin, words, device, state_of, runtime, plugin, router, impatient
):
    agent = router(device)
    agent.download()
    edits = []

    def edit() -> None:
        """In the middle of the report there is an edit, and a worker that renders it. They may have to wait."""
        process = impatient.app.registry.runtime
        here = Client(impatient, admin.token)
        path, body = f"template/{words.template['id']}/", {"config": {"text": "second"}}
        with ThreadPoolExecutor(1) as pool:
            edits.append(pool.submit(here.request, "PATCH", path, body, "*").result().status_int)
            if edits == [200]:
                pool.submit(render, process, state_of(device)).result()

    plugin.on_status = edit
    agent.report("applied")
    assert edits in ([200], [503])
    state = state_of(device)
    assert state.status == status.status_of(state) == ("applied" if edits == [503] else "modified")


def test_two_reports_at_once_end_as_one_of_them_says(app, admin, device, router, state_of, runtime):
    router(device).download()
    agents = [Router(TestApp(app.app), device["id"], device["key"]) for _ in range(6)]
    answers = at_once(*(lambda a=agent, n=n: a.report(("applied", "error")[n % 2]) for n, agent in enumerate(agents)))
    assert {answer.split()[-1] for answer in answers} == {"applied", "error"}
    state = state_of(device)
    assert state.status == state.reported_status == status.status_of(state)
    assert (state.error_reason != "") == (state.reported_status == "error")


# Locks and overload


@contextmanager
def locked(runtime):
    """Somebody else writes, and takes their time."""
    with runtime.engine.connect().execution_options(**{WRITES: True}) as connection:
        if runtime.engine.dialect.name == "postgresql":
            for table in (Device, ConfigState):
                connection.execute(sa.select(table).with_for_update())
        else:
            connection.exec_driver_sql("SELECT 1")
        yield
        connection.rollback()


def check_busy(response):
    assert response.status_int == 503
    assert int(response.headers["Retry-After"]) > 0


def test_who_wants_to_write_is_told_to_come_back_and_polls_go_on(
    app, impatient, admin, organization, device, words, router, runtime, state_of
):
    key = {"key": device["key"]}
    door = f"/controller/{{}}/{device['id']}/"
    router(device).apply()
    here = Client(impatient, admin.token)
    before = here.get(f"device/{device['id']}/")
    with locked(runtime):
        check_busy(here.request("PATCH", f"device/{device['id']}/", {"name": "renamed"}, "*"))
        check_busy(here.request("POST", f"device/{device['id']}/deactivate/", {}, "*"))
        check_busy(impatient.post(door.format("report-status"), key | {"status": "error"}, status="*"))
        check_busy(impatient.post(door.format("update-info"), key | {"os": "OpenWrt"}, status="*"))
        form = {"secret": "secret", "name": "router", "mac_address": "00:11:22:33:44:55", "backend": OPENWRT}
        check_busy(impatient.post("/controller/register/", form | key, status="*"))
        # A poll with news has to write them down.
        check_busy(impatient.get(door.format("checksum"), key | {"management_ip": "10.8.0.2"}, status="*"))
        # Without, it is answered: the log of polls waits.
        for name in ("checksum", "download-config"):
            impatient.get(door.format(name), key, status=200)
        assert here.get("device/")["count"] == 1
        assert here.get(f"device/{device['id']}/") == before
        assert here.state(device)["last_poll"] is not None
        check_busy(here.request("DELETE", f"device/{device['id']}/?force=true", None, "*"))
        # Of an import that keeps what it can, each row says what became of it.
        csv = {"Authorization": f"Bearer {admin.token}", "Content-Type": "text/csv"}
        rows = f"id,name\n{device['id']},renamed\n"
        report = impatient.post("/api/v1/controller/device/import/?partial=true", rows, csv, status=200).json
        assert (report["failed"], report["rows"][0]["errors"]) == (1, {"__all__": [BUSY]})
    assert here.get(f"device/{device['id']}/") == before
    here.patch(f"device/{device['id']}/", {"name": "renamed"})
    with writing(runtime.session_factory) as session:
        status.mark_stale(session, sa.select(ConfigState.config_id))
    with locked(runtime):
        # What is stale has to be stored when it is rendered. Reads do not wait for that.
        check_busy(impatient.get(door.format("checksum"), key, status="*"))
        assert here.get(f"device/{device['id']}/")["config"]["status"] == "modified"
        assert "has not been rendered yet" in here.state(device)["explanation"]
    impatient.get(door.format("checksum"), key, status=200)
    assert here.state(device)["status"] == "modified"


def test_strangers_are_answered_although_somebody_writes(impatient, device, runtime):
    with locked(runtime):
        for name in ("report-status", "update-info"):
            url = f"/controller/{name}/{device['id']}/"
            impatient.post(url, {"key": "wrong", "status": "applied"}, status=403)
            impatient.post(url, status=400)
            impatient.post(url.replace(device["id"], "0" * 32), {"key": "wrong"}, status=404)
        impatient.post("/controller/register/", STRANGER, status=403)
        impatient.post("/controller/register/", STRANGER | {"backend": "none"}, status=403)
        impatient.post("/controller/register/", status=400)
        Client(impatient, "0" * 40).post("template/", {}, 401)


def test_the_worker_tries_again_when_the_database_is_busy(impatient, words, device, runtime, worker, state_of, caplog):
    process = impatient.app.registry.runtime
    impatient_worker = type(worker)(process.queue, process.registry.jobs, process)
    words.edit("second")
    with locked(runtime):
        impatient_worker.run_forever(stop=lambda pause: True)
        assert "the database is busy" in caplog.text
        assert "Traceback" not in caplog.text
    impatient_worker.run_due(1e9)
    assert not status.is_stale(state_of(device))


@contextmanager
def exhausted(runtime):
    """All connections of the process are in use."""
    taken = []
    try:
        while True:
            taken.append(runtime.engine.connect())
    except sa.exc.TimeoutError:
        yield
    finally:
        for connection in taken:
            connection.close()


def test_a_process_without_free_connections_is_busy(impatient, admin, device):
    key = {"key": device["key"]}
    door = f"/controller/{{}}/{device['id']}/"
    here = Client(impatient, admin.token)
    requests = (
        lambda: impatient.get(door.format("checksum"), key, status="*"),
        lambda: impatient.get(door.format("download-config"), key, status="*"),
        lambda: impatient.post(door.format("report-status"), key | {"status": "applied"}, status="*"),
        lambda: impatient.post("/controller/register/", STRANGER, status="*"),
        lambda: here.request("GET", "device/", status="*"),
        lambda: here.request("PATCH", f"device/{device['id']}/", {"name": "renamed"}, "*"),
    )
    with exhausted(impatient.app.registry.runtime):
        for request in requests:
            check_busy(request())
    for request in requests:
        assert request().status_int in (200, 400, 403)
    with exhausted(impatient.app.registry.runtime):
        # The connections for polls are others. That the last poll cannot be written down does not matter.
        impatient.get(door.format("checksum"), key, status=200)


@ON_POSTGRESQL
def test_a_database_that_goes_away_and_comes_back_is_only_busy_meanwhile(app, admin, device, runtime, router):
    agent = router(device)
    agent.apply()
    url = runtime.engine.url
    name = url.database
    requests = (
        lambda: app.get(f"/controller/checksum/{device['id']}/", {"key": device["key"]}, status="*"),
        lambda: app.get(f"/controller/download-config/{device['id']}/", {"key": device["key"]}, status="*"),
        lambda: app.post(f"/controller/report-status/{device['id']}/", {"key": device["key"]}, status="*"),
        lambda: app.post("/controller/register/", STRANGER, status="*"),
        lambda: admin.request("GET", f"device/{device['id']}/", status="*"),
        lambda: admin.request("PATCH", f"device/{device['id']}/", {"name": "renamed"}, "*"),
    )
    elsewhere = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(elsewhere, autocommit=True) as server:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        # A restart: all connections end.
        for request in requests:
            server.execute(end, [name])
            assert request().status_int in (200, 400, 403)
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        server.execute(end, [name])
        for request in requests:
            check_busy(request())
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        for request in requests:
            assert request().status_int in (200, 400, 403)


# The queue


def test_each_job_is_done_by_one_worker(runtime):
    for number in range(20):
        runtime.queue.enqueue("count", number=number)

    def work() -> list[int]:
        done = []
        while (job := runtime.queue.claim()) is not None:
            done.append(job.arguments["number"])
            runtime.queue.finish(job)
        return done

    done = at_once(*[work] * 4)
    assert sorted(number for each in done for number in each) == list(range(20))


def test_the_job_of_a_worker_that_died_is_done_by_another_one_later(runtime, clock):
    runtime.queue.enqueue("count", number=1)
    assert runtime.queue.claim().arguments == {"number": 1}
    assert runtime.queue.claim() is None
    clock.advance(601)
    assert runtime.queue.claim().attempts == 2
