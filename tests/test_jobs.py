"""Stories of background jobs: what goes first, what is tried again, what is seen of it, and that nothing is lost."""

import random
import threading
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
import sqlalchemy as sa
from guywire import hookimpl
from guywire.db import reading, writing
from guywire.interfaces import Job
from guywire.jobs import JobFailed, Priority
from guywire.models import ConfigState, JobRecord
from guywire.queue import DatabaseQueue, Worker
from guywire.services.rendering_jobs import RENDER_ORGANIZATION
from guywire.testing import Client
from guywire.testing.fixtures import make_user

PATH = "job/"


@pytest.fixture
def plugins(calls):
    """Jobs that note what they are called with."""

    def note(runtime, **arguments):
        calls.append(arguments)

    def count(runtime, progress, until):
        for done in range(until + 1):
            progress.report(done, until)
            runtime.clock.advance(0.5)
        calls.append({"until": until})

    def fail(runtime, secret):
        raise ValueError(secret)

    def explain(runtime):
        raise JobFailed("The lamp is out of oil.")

    jobs = [
        Job("lamp.note", note, label="Note something"),
        Job("lamp.bulk", note),
        Job("lamp.count", count),
        Job("lamp.fail", fail),
        Job("lamp.explain", explain),
    ]
    return [("lamp", SimpleNamespace(register_jobs=hookimpl(lambda: jobs)))]


@pytest.fixture
def calls():
    """What the jobs were called with, in order."""
    return []


@pytest.fixture
def another(runtime):
    """A function that makes another worker process, so to speak."""

    def make():
        queue = DatabaseQueue(runtime.session_factory, runtime.clock, labels=runtime.queue.labels)
        return Worker(queue, runtime.registry.jobs, runtime)

    return make


def states(runtime):
    with reading(runtime.session_factory) as session:
        return sorted(session.scalars(sa.select(JobRecord.state).where(JobRecord.name.like("lamp.%"))))


def test_what_is_urgent_goes_first_and_the_same_work_waits_once(runtime, worker, calls):
    queue = runtime.queue
    queue.enqueue_many("lamp.bulk", [{"n": n} for n in range(3)], priority=Priority.BULK)
    queue.enqueue("lamp.note", who="operator")
    queue.enqueue("lamp.note", who="device", priority=Priority.DEVICE)
    queue.enqueue("lamp.bulk", n=2)
    queue.enqueue("lamp.bulk", n=2, priority=Priority.BULK)
    worker.run_due(0.0)
    assert calls[:3] == [{"who": "device"}, {"n": 2}, {"who": "operator"}]
    assert sorted(each["n"] for each in calls[3:]) == [0, 1]
    assert states(runtime) == []


def test_the_events_of_a_transaction_ask_for_their_jobs_in_one_transaction(admin, organization, runtime, worker, calls):
    def ask(event, jobs):
        jobs.enqueue_many("lamp.note", [{"n": n} for n in range(300)])
        jobs.enqueue("lamp.note", n=0)

    device = admin.make_device(organization)
    runtime.host.manager.register(SimpleNamespace(after_commit=hookimpl(ask)), "asker")
    commits = []
    note_commit = commits.append
    sa.event.listen(runtime.engine, "commit", note_commit)
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    sa.event.remove(runtime.engine, "commit", note_commit)
    assert len(commits) == 2
    runtime.host.manager.unregister(name="asker")
    worker.run_due(0.0)
    assert len(calls) == 300


def test_what_failed_is_told_without_secrets_and_can_be_tried_again(admin, runtime, worker, clock, calls):
    runtime.queue.enqueue("lamp.fail", secret="hush-hush")
    runtime.queue.enqueue("lamp.explain")
    for _ in range(6):
        worker.run_due(0.0)
        clock.advance(60)
    shown = {each["name"]: each for each in admin.get(PATH, state="failed")["results"]}
    assert "hush-hush" not in str(shown)
    assert shown["lamp.fail"]["error"] == "ValueError (the log of the worker says more)"
    assert shown["lamp.explain"]["error"] == "The lamp is out of oil."
    assert shown["lamp.explain"]["attempts"] == 5
    clock.advance(7 * 24 * 3600)
    worker.run_due(1e9)
    assert admin.get(PATH, state="failed")["count"] == 0


def test_a_job_shows_how_far_it_has_got(admin, runtime, worker, clock):
    runtime.queue.enqueue("lamp.count", until=10, label="Count to ten")
    job = runtime.queue.claim(["lamp.count"])
    [waiting] = admin.get(PATH, name="lamp.count")["results"]
    assert (waiting["state"], waiting["rate"], waiting["estimate"]) == ("running", None, None)
    progress = worker._runner.progress_of(job)
    clock.advance(2)
    progress.report(4, 10)
    clock.advance(0.5)
    progress.report(5, 10)
    shown = admin.get(f"{PATH}{job.id}/")
    assert (shown["done"], shown["total"], shown["rate"]) == (4, 10, 2.0), "written once a second"
    assert shown["estimate"] == (job.started + timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    runtime.queue.finish(job)
    ended = admin.get(f"{PATH}{job.id}/")
    assert (ended["state"], ended["done"], ended["rate"], ended["label"]) == ("succeeded", 5, 2.0, "Count to ten")
    runtime.queue.enqueue("lamp.count", until=3)
    worker.run_due(0.0)
    newest = admin.get(PATH, name="lamp.count", state="succeeded")["results"][0]
    assert (newest["done"], newest["total"], newest["estimate"]) == (3, 3, None)


def test_jobs_are_seen_by_those_who_manage_their_organization(
    app, runtime, admin, operator, anonymous, organization, other_organization, worker
):
    for owner in (organization, other_organization, None):
        id = owner and UUID(owner)
        runtime.queue.enqueue("lamp.note", owner=owner, organization_id=id, priority=Priority.BULK)
    assert admin.get(PATH, name="lamp.note")["count"] == 3
    page = operator.get(PATH, name="lamp.note")
    assert (page["count"], page["results"][0]["organization"]) == (1, organization)
    operator.get(PATH, 400, organization=other_organization)
    assert admin.get(PATH, organization=other_organization)["count"] == 1
    anonymous.get(PATH, 401)
    [mine] = page["results"]
    foreign = admin.get(PATH, organization=other_organization)["results"][0]
    operator.get(f"{PATH}{foreign['id']}/", 404)
    operator.post(f"{PATH}{mine['id']}/cancel/", status=403)
    administrator = Client(app, make_user(runtime, "boss", organization, "Administrator"))
    administrator.post(f"{PATH}{foreign['id']}/cancel/", status=404)
    cancelled = administrator.post(f"{PATH}{mine['id']}/cancel/", status=200)
    assert (cancelled["state"], cancelled["label"], cancelled["priority"]) == ("cancelled", "Note something", "bulk")
    administrator.post(f"{PATH}{mine['id']}/cancel/", status=409)
    # It can be asked for again.
    runtime.queue.enqueue("lamp.note", owner=organization, organization_id=UUID(organization))
    assert operator.get(PATH, state="waiting", created__gte="2020-01-01T00:00:00Z")["count"] == 1


def test_a_lease_that_is_renewed_is_kept_and_one_that_is_not_is_lost(runtime, another, clock, calls):
    runtime.queue.enqueue("lamp.note", n=1)
    job = runtime.queue.claim(["lamp.note"])
    other = another()
    clock.advance(14)
    runtime.queue.renew([job])
    clock.advance(14)
    assert other.queue.claim(["lamp.note"]) is None
    clock.advance(2)
    runtime.queue.enqueue("lamp.note", n=1)
    other.run_due(0.0)
    assert calls == [{"n": 1}], "the job of the dead and its successor are the same work"
    # Whoever was thought dead changes nothing any more.
    runtime.queue.enqueue("lamp.note", n=1)
    runtime.queue.release(job, "late")
    runtime.queue.finish(job)
    assert states(runtime) == ["waiting"]


def test_one_worker_of_a_fleet_at_a_time_runs_what_is_periodic(runtime, another, clock):
    ticks = []
    periodic = {"tick": Job("tick", lambda runtime: ticks.append(1), every=1.0)}
    first, second = (Worker(another().queue, periodic, runtime) for _ in range(2))
    assert first._turn.is_ours()
    assert not second._turn.is_ours()
    clock.advance(10)
    assert first._turn.is_ours()
    clock.advance(10)
    assert not second._turn.is_ours()
    clock.advance(6)
    assert second._turn.is_ours(), "the first is not heard of any more"
    assert not first._turn.is_ours()
    second.run_due(0.0)
    clock.advance(1)
    first.run_due(0.0)
    assert ticks == [1, 1]


def test_a_long_job_holds_up_no_other_kind_and_no_thread_is_left(runtime):
    together, release, ended = threading.Barrier(3, timeout=60), threading.Event(), []

    def long(runtime):
        release.wait(60)
        ended.append("long")

    def visit(runtime, n):
        together.wait()

    def quick(runtime):
        ended.append("quick")
        release.set()

    kinds = [Job("long", long), Job("visit", visit, parallel=3), Job("quick", quick)]
    before = threading.active_count()
    runtime.queue.enqueue("long")
    runtime.queue.enqueue_many("visit", [{"n": n} for n in range(6)], priority=Priority.BULK)
    runtime.queue.enqueue("quick", priority=Priority.BULK)

    def stop(pause):
        return release.wait(pause) and not _any(runtime)

    Worker(runtime.queue, {each.name: each for each in kinds}, runtime).run_forever(stop, pause=0.01)
    assert ended == ["quick", "long"]
    assert threading.active_count() == before


def _any(runtime):
    with reading(runtime.session_factory) as session:
        return session.scalar(sa.select(JobRecord.number).where(JobRecord.name.in_(("long", "visit", "quick"))))


class Killed(BaseException):
    """kill -9: nothing that would be done afterwards is done."""


@pytest.mark.parametrize("seed", range(3))
def test_no_job_is_lost_wherever_workers_are_killed(runtime, another, clock, seed, monkeypatch):
    chance = random.Random(seed)
    done = []

    def dangerous(runtime, n):
        if chance.random() < 0.15:
            raise Killed
        done.append(n)

    kinds = {"dangerous": Job("dangerous", dangerous)}
    runtime.queue.enqueue_many("dangerous", [{"n": n} for n in range(30)])

    def work():
        worker = Worker(another().queue, kinds, runtime)
        for name in ("finish", "release", "claim"):
            original = getattr(worker.queue, name)

            def risky(*arguments, original=original):
                result = original(*arguments) if chance.random() < 0.5 else None
                if chance.random() < 0.05:
                    raise Killed
                return original(*arguments) if result is None else result

            setattr(worker.queue, name, risky)
        worker.run_due(0.0)

    for _ in range(100):
        try:
            work()
        except Killed:
            clock.advance(20)
        if not _left(runtime):
            break
    assert set(done) == set(range(30))


def _left(runtime):
    with reading(runtime.session_factory) as session:
        return session.scalars(sa.select(JobRecord.id).where(JobRecord.name == "dangerous")).all()


def test_an_edit_that_concerns_many_is_a_job_of_each_organization(
    admin, operator, organization, other_organization, runtime, worker, monkeypatch
):
    monkeypatch.setattr("guywire.services.rendering_jobs.BATCH", 2)
    template = admin.post(
        "template/", {"name": "all", "type": "generic", "backend": "netjsonconfig.OpenWrt", "config": {"general": {}}}
    )
    for number in range(4):
        owner = organization if number < 3 else other_organization
        admin.make_device(owner, name=f"d{number}", mac_address=f"00:11:22:33:44:0{number}", templates=[template["id"]])
    worker.run_due(0.0)
    config = {"general": {"description": "for all"}}
    admin.patch(f"template/{template['id']}/", {"config": config})
    worker.run_due(10.0)
    assert admin.get(PATH, name=RENDER_ORGANIZATION)["count"] == 1, "few are rendered without further ado"
    [job] = operator.get(PATH, name=RENDER_ORGANIZATION)["results"]
    assert (job["state"], job["done"], job["total"]) == ("succeeded", 3, 3)
    assert (job["organization"], job["label"]) == (organization, "Render configurations")
    with writing(runtime.session_factory) as session:
        stale = ConfigState.inputs_version != ConfigState.rendered_version
        assert session.scalar(sa.select(sa.func.count()).select_from(ConfigState).where(stale)) == 0
