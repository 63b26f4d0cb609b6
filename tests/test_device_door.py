"""Stories of routers that are known: they poll, download, report, say what they are, and are answered exactly so."""

import hashlib
import json
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from guywire import hookimpl
from guywire.app import create_app
from guywire.db import reading, writing
from guywire.interfaces import ArchiveFile, ConfigBackend
from guywire.models import ConfigState, Device
from guywire.services.bootstrap import load_document
from guywire.services.status import is_stale
from guywire.testing import Router
from webtest import TestApp

CALLER = "81.2.69.160"
FROM = {"REMOTE_ADDR": CALLER}
NO_KEY = 'error: missing required parameter "key"\n'
PREFIXES = ("/controller/", "/controller/device/")
GETS = ("checksum", "download-config")
POSTS = ("update-info", "report-status")


@pytest.fixture
def device(admin, organization):
    return admin.make_device(organization)


@pytest.fixture
def agent(router, device):
    return router(device)


@pytest.fixture
def bare_router(app):
    """Pyramid without the layer that answers polls in front of it."""
    return TestApp(app.app.application.router)


@pytest.fixture
def all_gets(device):
    """Every address under which the device may ask."""
    ids = (device["id"], UUID(device["id"]).hex)
    return [f"{prefix}{name}/{each}/" for name in GETS for prefix in PREFIXES for each in ids]


@pytest.fixture
def all_posts(device):
    ids = (device["id"], UUID(device["id"]).hex)
    return [f"{prefix}{name}/{each}/" for name in POSTS for prefix in PREFIXES for each in ids]


def check_refusal(response, status, text):
    assert (response.status_int, response.text) == (status, text)
    # The reference says this one thing in HTML.
    assert response.content_type == ("text/html" if text == "error: device deactivated" else "text/plain")
    assert response.headers["X-Openwisp-Controller"] == "true"


def check_unknown(response):
    """What nobody's device is told: an agent that hears it five times stops for good."""
    assert response.status_int == 404
    assert response.content_type == "text/html"
    assert "X-Openwisp-Controller" not in response.headers


# Polls and downloads


def test_the_checksum_is_that_of_the_archive_under_every_address(app, device, all_gets):
    bodies = {}
    for url in all_gets:
        response = app.get(url, {"key": device["key"]}, extra_environ=FROM)
        assert response.headers["X-Openwisp-Controller"] == "true"
        assert not {"ETag", "Last-Modified", "Cache-Control", "Set-Cookie"} & set(response.headers)
        bodies.setdefault("checksum/" in url, set()).add(response.body)
        if "checksum/" in url:
            assert response.content_type == "text/plain"
        else:
            assert response.headers["Content-Type"] == "application/octet-stream"
            assert response.headers["Content-Disposition"] == "attachment; filename=router.tar.gz"
    [checksum], [archive] = bodies[True], bodies[False]
    assert checksum.decode() == hashlib.md5(archive).hexdigest(), "32 digits and no line break: agents compare lines"


def test_a_head_request_is_told_the_same_and_takes_nothing_away(app, admin, device, all_gets):
    for url in all_gets:
        head = app.head(url + "?key=" + device["key"], extra_environ=FROM)
        assert head.body == b""
        assert admin.state(device)["served"] is None
        state = admin.state(device)
        assert state["explanation"] == "The device has not downloaded its configuration yet."
    got = app.get(url, {"key": device["key"]}, extra_environ=FROM)
    assert dict(head.headers) == dict(got.headers)
    assert admin.state(device)["served"]["checksum"] == hashlib.md5(got.body).hexdigest()


def test_a_download_by_an_operator_is_not_one_by_the_router(admin, device, agent):
    archive = admin.request("GET", f"device/{device['id']}/configuration/", status=200).body
    assert hashlib.md5(archive).hexdigest() == agent.poll()
    assert admin.state(device)["served"] is None


def test_whoever_lacks_the_key_is_told_so(app, device, all_gets, all_posts):
    for url in all_gets:
        check_refusal(app.get(url, status="*"), 400, NO_KEY)
        check_refusal(app.get(url, {"key": ""}, status="*"), 400, NO_KEY)
        check_refusal(app.get(url, {"KEY": device["key"]}, status="*"), 400, NO_KEY)
        check_refusal(app.get(url, {"key": "wrong"}, status="*"), 403, "error: wrong key\n")
        check_refusal(app.get(url, {"key": device["key"].upper() + " "}, status="*"), 403, "error: wrong key\n")
    for url in all_posts:
        check_refusal(app.post(url, status="*"), 400, NO_KEY)
        check_refusal(app.post(url, {"key": "", "status": "applied"}, status="*"), 400, NO_KEY)
        check_refusal(app.post(f"{url}?key={device['key']}", status="*"), 400, NO_KEY)
        check_refusal(app.post_json(url, {"key": device["key"], "status": "applied"}, status="*"), 400, NO_KEY)
        check_refusal(app.post(url, {"key": "wrong"}, status="*"), 403, "error: wrong key\n")


def test_only_a_device_in_service_is_known(app, admin, organization, runtime, device):
    bare = admin.post("device/", {"name": "bare", "organization": organization, "mac_address": "00:11:22:33:44:66"})
    key = {"key": device["key"]}

    def unknown(id, form):
        for prefix in PREFIXES:
            for name in GETS:
                check_unknown(app.get(f"{prefix}{name}/{id}/", form, status="*"))
            for name in POSTS:
                check_unknown(app.post(f"{prefix}{name}/{id}/", form | {"status": "applied"}, status="*"))

    unknown(uuid4(), key)
    unknown(device["id"].upper(), key)
    unknown(UUID(device["id"]).hex.upper(), key)
    unknown(device["id"][:-1], key)
    unknown(device["id"] + "%0A", key)
    unknown("nonsense", key)
    unknown(bare["id"], {"key": bare["key"]})
    bootstrap(runtime, is_active=False)
    unknown(device["id"], key)
    bootstrap(runtime, is_active=True)
    app.get(f"/controller/checksum/{device['id']}/", key, status=200)
    app.get(f"/controller/checksum/{device['id']}/%0A", key, status=404)


def bootstrap(runtime, **fields):
    """What ``guywire bootstrap`` does for the organization."""
    with writing(runtime.session_factory) as session:
        load_document(session, runtime.key_ring, {"organizations": {"org1": fields}}, runtime.clock())


def test_an_address_without_its_slash_leads_to_the_one_with_it(app, device):
    for name in GETS:
        for prefix in PREFIXES:
            path = f"{prefix}{name}/{device['id']}"
            response = app.get(f"{path}?key=a%20b&management_ip=10.0.0.1", status=301)
            assert response.headers["Location"].endswith(f"{path}/?key=a%20b&management_ip=10.0.0.1")
            assert "X-Openwisp-Controller" not in response.headers


def test_other_methods_are_not_allowed(app, all_gets, all_posts):
    for urls, allowed in ((all_gets, {"GET", "HEAD"}), (all_posts, {"POST"})):
        for url in urls[::3]:
            for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - allowed:
                response = app.request(url, method=method, status="*")
                assert (response.status_int, response.body) == (405, b"")
                assert set(response.headers["Allow"].split(", ")) == {*allowed, "OPTIONS"}
                assert "X-Openwisp-Controller" not in response.headers


def test_no_query_breaks_a_poll(app, device, all_gets):
    key = device["key"]
    for url in all_gets[::3]:
        for query, status in (
            ("key=%FF", 403),
            ("key=%00", 403),
            ("key=\u00e9".encode().decode("latin-1"), 403),
            ("key=" + "x" * 100_000, 403),
            ("&&&;;;===%%%", 400),
            (f"key=wrong&key={key}", 200),
            (f"key={key}&management_ip=%00", 200),
            (f"key={key}&management_ip=%FF", 200),
            (f"key={key}&management_ip=" + "1" * 100_000, 200),
            (f"key={key}&management_ip=10.0.0.1&management_ip=junk", 200),
            (f"key={key}&{'a=b&' * 10_000}", 200),
        ):
            response = app.request(url, environ={"QUERY_STRING": query}, status="*")
            assert response.status_int == status, query[:40]
            assert response.headers["X-Openwisp-Controller"] == "true"


# Where routers call from


@pytest.fixture
def addresses(admin):
    """The last and the management address of a device."""

    def addresses(device):
        detail = admin.get(f"device/{device['id']}/")
        return detail["last_ip"], detail["management_ip"]

    return addresses


def test_a_poll_tells_where_the_router_is(app, device, all_gets, addresses):
    for url in all_gets[::3]:
        for named, shown in (("10.8.0.2", "10.8.0.2"), ("2001:DB8::0:1", "2001:db8::1"), ("junk", None), (None, None)):
            query = {"key": device["key"]} | ({} if named is None else {"management_ip": named})
            for address in (CALLER, "2001:db8::2"):
                app.get(url, query, extra_environ={"REMOTE_ADDR": address})
                assert addresses(device) == (address, shown)


def test_a_management_address_has_one_owner_and_many_may_call_from_one_address(
    app, admin, organization, other_organization, addresses
):
    devices = [
        admin.make_device(owner, f"router-{number}", f"00:11:22:33:44:0{number}")
        for number, owner in enumerate((organization, organization, other_organization))
    ]
    for device in devices:
        query = {"key": device["key"], "management_ip": "10.8.0.2"}
        app.get(f"/controller/checksum/{device['id']}/", query, extra_environ={"REMOTE_ADDR": "192.168.1.2"})
    assert [addresses(device) for device in devices] == [("192.168.1.2", shown) for shown in (None, None, "10.8.0.2")]
    for address in (CALLER, "10.0.0.1", "127.0.0.1", "::1"):
        for device in devices:
            query = {"key": device["key"]}
            app.get(f"/controller/checksum/{device['id']}/", query, extra_environ={"REMOTE_ADDR": address})
        assert [addresses(device) for device in devices] == [(address, None)] * 3


def test_organizations_may_use_the_same_addresses_where_the_operator_says_so(
    app, settings, admin, organization, other_organization, addresses
):
    own = create_app(replace(settings, shared_management_ip_space=False))
    try:
        devices = [
            admin.make_device(owner, f"router-{number}", f"00:11:22:33:44:0{number}")
            for number, owner in enumerate((organization, organization, other_organization))
        ]
        for device in devices:
            query = {"key": device["key"], "management_ip": "10.8.0.2"}
            TestApp(own).get(f"/controller/checksum/{device['id']}/", query)
        assert [addresses(device)[1] for device in devices] == [None, "10.8.0.2", "10.8.0.2"]
    finally:
        own.registry.poll_reader.close()
        own.registry.runtime.close()


# The layer in front


def test_a_poll_without_news_is_answered_without_pyramid(app, device, all_gets, monkeypatch):
    app.get(f"/controller/download-config/{device['id']}/", {"key": device["key"]}, extra_environ=FROM)

    def refuse(environ, start_response):
        raise AssertionError("this poll had to write something")

    monkeypatch.setattr(app.app.application, "router", refuse)
    for url in all_gets:
        app.get(url, {"key": device["key"]}, extra_environ=FROM, status=200)
        app.get(url, {"key": "wrong"}, extra_environ=FROM, status=403)
        app.get(url, {}, extra_environ=FROM, status=400)
    app.get(f"/controller/checksum/{uuid4()}/", {"key": device["key"]}, status=404)


def test_the_layer_and_the_view_give_the_same_answer(app, bare_router, admin, organization, runtime):
    """Whether or not there was something to write first."""

    def answer(application, url, method, key, address):
        query = {} if key is None else {"key": key}
        send = application.get if method == "GET" else application.head
        response = send(url, query, status="*", extra_environ={"REMOTE_ADDR": address})
        headers = {name.lower(): value.lower() for name, value in response.headers.items()}
        return response.status, headers, response.body

    template = admin.make_template(organization)
    device = admin.make_device(organization, templates=[template["id"]])
    numbers = count()

    def edit():
        config = {"interfaces": [{"name": f"eth{next(numbers)}", "type": "ethernet"}]}
        admin.patch(f"template/{template['id']}/", {"config": config})

    changes = (
        (),
        (edit,),
        (lambda: admin.post(f"device/{device['id']}/deactivate/", status=200),),
        (lambda: Router(app, device["id"], device["key"]).apply(),),
        (lambda: admin.post(f"device/{device['id']}/activate/", status=200),),
        (lambda: bootstrap(runtime, is_active=False),),
    )
    statuses = set()
    for number, change in enumerate(changes):
        for do in change:
            do()
        for kind in GETS:
            url = f"/controller/{kind}/{device['id']}/"
            for method in ("GET", "HEAD"):
                for key in (None, "", "wrong", device["key"]):
                    with_news = (app, bare_router)[number % 2]
                    first = answer(with_news, url, method, key, f"81.2.69.{number}")
                    for application in (app, bare_router, app):
                        assert answer(application, url, method, key, f"81.2.69.{number}") == first
                    statuses.add(first[0])
        if edit in change:
            # What is stale is rendered by either.
            for application in (app, bare_router):
                edit()
                fresh = answer(application, f"/controller/checksum/{device['id']}/", "GET", device["key"], CALLER)
                archive = answer(application, url, "GET", device["key"], CALLER)
                assert hashlib.md5(archive[2]).hexdigest() == fresh[2].decode()
    assert {status[:3] for status in statuses} == {"200", "400", "403", "404"}


def test_the_answer_is_never_out_of_date(admin, organization, router):
    template = admin.make_template(organization)
    device = admin.make_device(organization, templates=[template["id"]])
    agent, seen = router(device), set()
    for number in range(5):
        seen.add(agent.poll())
        config = {"interfaces": [{"name": f"eth{number}", "type": "ethernet"}]}
        admin.patch(f"template/{template['id']}/", {"config": config})
    assert len(seen) == 5
    assert hashlib.md5(agent.download()).hexdigest() not in seen


def test_an_error_that_no_database_can_store_stops_neither_the_poll_nor_the_other_devices(
    admin, organization, router, worker, runtime
):
    """The message about a wrong path quotes it, and a variable may hold anything."""
    uses = admin.make_template(
        organization, "uses", config={"files": [{"path": "/etc/{{x}}", "mode": "0644", "contents": ""}]}
    )
    gives = admin.make_template(organization, "gives", default_values={"x": "good"})
    shared = [uses["id"], gives["id"]]
    broken = admin.make_device(organization, "broken", "00:11:22:33:44:01", templates=shared)
    healthy = admin.make_device(organization, "healthy", "00:11:22:33:44:02", templates=shared, context={"x": "own"})
    good = router(broken).poll()
    admin.patch(f"template/{gives['id']}/", {"default_values": {"x": "a\0b"}})
    worker.run_due(0.0)
    assert router(broken).poll() == good
    with reading(runtime.session_factory) as session:
        states = list(session.scalars(sa.select(ConfigState)))
    assert not any(map(is_stale, states))
    state = admin.state(broken)
    assert state["status"] == "modified"
    assert "a\ufffdb" in state["rendering_error"]["message"]
    assert admin.state(healthy)["rendering_error"] is None


class Stranger(ConfigBackend):
    """A backend that means well until the configuration asks for something else."""

    id = "stranger"
    label = "Stranger"
    schema: dict[str, Any] = {}  # noqa: RUF012

    def validate(self, config, templates, context, device_os=""):
        pass

    def render(self, config, templates, context, device_os=""):
        layers = [*templates, config]
        if any("raise" in layer for layer in layers):
            raise KeyError("what is that?")
        path = "/".join(layer.get("path", "") for layer in layers)
        return None if "nothing" in path else [ArchiveFile(path, b"")]

    @hookimpl
    def register_config_backends(self):
        return [self]


class TestABackendThatFails:
    @pytest.fixture
    def plugins(self):
        return [("stranger", Stranger())]

    def test_leaves_the_last_good_archive_in_service(self, admin, organization, router, worker, caplog):
        backend = {"backend": "stranger"}
        template = admin.make_template(organization, "template", config={"path": "good"}, **backend)
        first = admin.make_device(organization, "first", templates=[template["id"]], **backend)
        agent = router(first)
        agent.apply()
        good = agent.checksum
        for config in ({"raise": True}, {"path": "a\0b"}, {"path": "nothing"}):
            admin.patch(f"template/{template['id']}/", {"config": config})
            assert agent.poll() == good
            assert agent.download() == agent.archive
            state = admin.state(first)
            assert state["rendering_error"]["template"] == template["id"]
            assert 'The backend "stranger" failed' in state["explanation"]
            assert agent.report() == "report-result: success\ncurrent-status: modified\n"
        admin.patch(f"template/{template['id']}/", {"config": {"path": "better"}})
        worker.run_due(0.0)
        assert agent.poll() != good


# Reports


def test_a_report_is_answered_with_the_status(app, admin, device, agent, all_posts):
    for url in (url for url in all_posts if "report-status" in url):
        for status, reason in (("applied", ""), ("error", "out of memory")):
            form = {"key": device["key"], "status": status, "error_reason": "out of memory"}
            response = app.post(url, form, status=200)
            assert response.text == f"report-result: success\ncurrent-status: {status}\n"
            assert response.content_type == "text/plain"
            assert response.headers["X-Openwisp-Controller"] == "true"
            config = admin.get(f"device/{device['id']}/")["config"]
            assert (config["status"], config["error_reason"]) == (status, reason)


def test_a_router_says_applied_or_error_and_nothing_else(app, admin, device):
    url = f"/controller/report-status/{device['id']}/"
    for status in ("modified", "deactivating", "deactivated", "APPLIED", " applied", "applied\0", "x" * 10_000):
        check_refusal(app.post(url, {"key": device["key"], "status": status}, status="*"), 403, "error: wrong status\n")
    missing = 'error: missing required parameter "status"\n'
    for form in ({}, {"status": ""}, {"error_reason": "applied"}):
        check_refusal(app.post(url, {"key": device["key"], **form}, status="*"), 400, missing)
    assert admin.state(device)["reported"] is None


def test_the_reason_of_an_error_is_kept_as_far_as_there_is_room(admin, device, agent):
    def reason(**form):
        agent.report("error", **form)
        shown = admin.get(f"device/{device['id']}/")["config"]["error_reason"]
        assert admin.state(device)["reported"]["error_reason"] == shown
        return shown

    unsaid = "Reason not reported by the device."
    assert [reason(), reason(error_reason="")] == [unsaid, unsaid]
    log = "Configuration could not be applied:\n\tuci: Parse error\n"
    assert reason(error_reason=log) == log
    assert reason(error_reason="\u00e9" * 1024) == "\u00e9" * 1024
    assert reason(error_reason="\u00e9" * 1025) == "\u00e9" * 1012 + "\n[truncated]"
    assert reason(error_reason="x" * 1_000_000) == "x" * 1012 + "\n[truncated]"


def test_the_reason_may_be_cut_off_within_a_character_or_hold_garbage(app, admin, device):
    """The agent cuts its log at a number of bytes, and a log holds what was logged."""
    url = f"/controller/report-status/{device['id']}/"
    body = f"key={device['key']}&status=error&error_reason=".encode()
    form = "application/x-www-form-urlencoded"
    for reason, shown in (
        (b"caf%C3%0A[truncated]", "caf\ufffd\n[truncated]"),
        (b"caf\xc3", "caf\ufffd"),
        (b"a%00b", "a\ufffdb"),
        (b"%1B[31mred", "\x1b[31mred"),
    ):
        response = app.post(url, body + reason, content_type=form, status=200)
        assert response.text == "report-result: success\ncurrent-status: error\n"
        assert admin.get(f"device/{device['id']}/")["config"]["error_reason"] == shown


# What routers say of themselves


def test_a_router_may_say_what_it_is(app, admin, device, all_posts):
    for url in (url for url in all_posts if "update-info" in url):
        form = {
            "key": device["key"],
            "os": " OpenWrt 23.05 ",
            "model": "",
            "system": "\t",
            "name": "mine",
            "notes": "x",
        }
        response = app.post(url, form, status=200)
        assert (response.text, response.content_type) == ("update-info: success", "text/plain")
        assert response.headers["X-Openwisp-Controller"] == "true"
        detail = admin.get(f"device/{device['id']}/")
        assert [detail[name] for name in ("os", "model", "system", "name", "notes")] == [
            *("OpenWrt 23.05", "", "", "router", "")
        ]


def test_what_does_not_fit_is_named_and_nothing_is_kept(app, admin, device):
    url = f"/controller/update-info/{device['id']}/"
    form = {"key": device["key"], "os": "x" * 136, "system": "x" * 129, "model": "fits"}
    response = app.post(url, form, status=400)
    message = "Ensure this value has at most 128 characters (it has {})."
    expected = {"os": [message.format(136)], "system": [message.format(129)]}
    assert response.text == json.dumps(expected, indent=4, sort_keys=True)
    assert response.content_type == "text/plain"
    assert response.headers["X-Openwisp-Controller"] == "true"
    detail = admin.get(f"device/{device['id']}/")
    assert (detail["os"], detail["system"], detail["model"]) == ("", "", "")


def test_the_operating_system_decides_the_syntax(admin, organization, router):
    bridge = {"name": "br-lan", "type": "bridge", "bridge_members": ["eth0", "eth1"]}
    device = admin.make_device(organization, config={"interfaces": [bridge]})
    agent = router(device)
    agent.apply()
    agent.update_info(os="OpenWrt 19.07.7")
    assert admin.state(device)["status"] == "modified"
    agent.update_info(os="OpenWrt 23.05.2")
    assert admin.state(device)["status"] == "applied"


def test_the_mac_address_is_kept_as_the_router_writes_it_from_its_first_word_on(admin, organization, router):
    device = admin.make_device(organization, mac_address="00:11:22:33:44:aa")
    assert device["mac_address"] == "00:11:22:33:44:aa"
    router(device).update_info(model="WDR4300")
    detail = admin.get(f"device/{device['id']}/")
    assert (detail["mac_address"], detail["key"]) == ("00:11:22:33:44:AA", device["key"])


def test_no_value_of_any_field_breaks_a_report(app, device):
    form = "application/x-www-form-urlencoded"
    for value in (b"%00", b"%FF", b"%C3%28", b"%ED%A0%80", b"%0A", b"x" * 100_000):
        for name in ("key", "os", "model", "system", "status", "error_reason", "unknown"):
            fields = {"key": device["key"].encode(), "status": b"error"} | {name: value}
            body = b"&".join(key.encode() + b"=" + text for key, text in fields.items())
            for kind in POSTS:
                response = app.post(f"/controller/{kind}/{device['id']}/", body, content_type=form, status="*")
                assert response.status_int in (200, 400, 403), (kind, name, value[:9])
                assert response.headers["X-Openwisp-Controller"] == "true", (kind, name, value[:9])


def test_a_report_that_is_too_large_is_refused_before_it_is_read(app, settings, all_posts):
    body = b"x" * (settings.max_body_size + 1)
    for url in all_posts[::3]:
        app.post(url, body, content_type="application/x-www-form-urlencoded", status=413)


# Out of service and back


def test_a_device_is_served_until_it_has_reported_the_empty_configuration(app, admin, device, agent, router):
    agent.apply()
    old = agent.checksum
    agent.app.get(f"/controller/checksum/{device['id']}/", {"key": device["key"], "management_ip": "10.8.0.2"})
    assert admin.post(f"device/{device['id']}/deactivate/", status=200)["config"]["status"] == "deactivating"
    url = f"/controller/update-info/{device['id']}/"
    check_refusal(app.post(url, {"key": device["key"]}, status="*"), 403, "error: device deactivated")
    assert agent.report() == "report-result: success\ncurrent-status: deactivating\n", "it spoke of the old one"
    assert agent.poll(management_ip="10.8.0.2") != old
    agent.download(management_ip="10.8.0.2")
    assert admin.get(f"device/{device['id']}/")["management_ip"] == "10.8.0.2"
    assert agent.report("error") == "report-result: success\ncurrent-status: deactivated\n"
    assert admin.get(f"device/{device['id']}/")["management_ip"] is None
    agent.poll(status=404)
    agent.download(status=404)
    agent.report(status=404)
    agent.update_info(status=404)
    admin.post(f"device/{device['id']}/activate/", status=200)
    agent.poll()
    admin.patch(f"device/{device['id']}/", {"config": {"config": {"general": {"timezone": "UTC"}}}})
    agent.apply()
    assert admin.state(device)["status"] == "applied"


# When routers called last


def test_the_last_poll_is_shown_by_every_process_and_never_goes_back(make_app, admin, device, clock):
    here, there = TestApp(make_app()), TestApp(make_app())
    other = admin.make_device(device["organization"], "other", "00:11:22:33:44:66")

    def poll(application, device):
        clock.advance(1)
        Router(application, device["id"], device["key"]).poll()
        return clock().isoformat().replace("+00:00", "Z")

    def shown(application):
        path = f"/api/v1/controller/device/{device['id']}/state/"
        response = application.get(path, headers={"Authorization": f"Bearer {admin.token}"})
        return response.json["last_poll"]

    assert shown(here) is None
    first = poll(here, device)
    assert [shown(here), shown(there)] == [first, first], "the first poll is written down at once"
    second = poll(here, device)
    assert [shown(here), shown(there)] == [second, first], "the next one waits for others in memory"
    third = poll(there, device)
    assert [shown(here), shown(there)] == [third, third], "what another process wrote later counts"
    clock.advance(60)
    poll(here, other)
    assert [shown(here), shown(there)] == [third, third], "what waited is written now, and is old"
    there.app.registry.poll_log.flush()
    assert [shown(here), shown(there)] == [third, third]


def test_only_a_router_with_the_key_polls(app, admin, device, agent):
    app.get(f"/controller/checksum/{device['id']}/", {"key": "wrong"}, status=403)
    app.get(f"/controller/checksum/{device['id']}/", status=400)
    assert admin.state(device)["last_poll"] is None
    app.head(f"/controller/checksum/{device['id']}/?key={device['key']}")
    assert admin.state(device)["last_poll"] is not None


def test_a_device_that_is_deleted_meanwhile_disturbs_nobody(app, admin, device, agent, clock, runtime):
    other = admin.make_device(device["organization"], "other", "00:11:22:33:44:66")
    agent.poll()
    agent.poll()
    with writing(runtime.session_factory) as session:
        session.execute(sa.delete(Device).where(Device.id == UUID(device["id"])))
    clock.advance(60)
    Router(app, other["id"], other["key"]).poll()
    assert admin.state(other)["last_poll"] is not None
    agent.poll(status=404)
