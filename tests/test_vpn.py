"""Stories of VPN servers and their clients, told with the smallest VPN there is (see ``tunnel_plugin``)."""

import hashlib
import io
import tarfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from random import Random
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
import tunnel_plugin
from guywire.app import create_app
from guywire.db import reading
from guywire.models import ConfigTemplate, Template, VpnClient
from guywire.plugin import PluginError
from guywire.services.vpn_clients import synchronize_all
from guywire.services.vpn_webhooks import silent
from guywire.testing.fixtures import make_user
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tunnel_plugin import TUNNEL, client_table, returned_table


@pytest.fixture
def plugins():
    return [("tunnel", tunnel_plugin)]


@pytest.fixture
def make_vpn(admin, organization):
    def make(name="tower", places=100, status=201, **fields):
        body = {
            "name": name,
            "organization": organization,
            "host": f"{name}.example.org",
            "backend": TUNNEL,
            "config": {"places": places},
            "color": "red",
        }
        return admin.post("vpn/", body | fields, status)

    return make


@pytest.fixture
def make_client(admin, organization):
    """A template of type vpn without configuration."""

    def make(vpn, name="client", status=201, **fields):
        body = {"name": name, "organization": organization, "backend": "netjsonconfig.OpenWrt", "type": "vpn"}
        return admin.post("template/", body | {"vpn": vpn["id"], "config": {}} | fields, status)

    return make


def files(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar}


def server_file(admin, vpn) -> str:
    return files(admin.request("GET", f"vpn/{vpn['id']}/configuration/", status=200).body)["tunnel.conf"]


def tunnel_of(admin, device) -> str | None:
    archive = admin.request("GET", f"device/{device['id']}/configuration/", status=200).body
    return files(archive).get("etc/tunnel")


def returned(runtime) -> int:
    with reading(runtime.session_factory) as session:
        return session.scalar(sa.select(sa.func.count()).select_from(returned_table))


# Servers


def test_a_server_is_made_shown_listed_changed_and_deleted(admin, make_vpn, organization):
    made = make_vpn(notes="on the roof", auth_token="secret")
    keys = ["id", "name", "host", "organization", "key", "backend", "color", "painted", "webhook_endpoint"]
    keys += ["auth_token", "notes", "config", "created", "modified"]
    # Other plugins may have some of their own.
    assert [key for key in made if key in keys] == keys
    assert made["color"] == "red"
    assert made["painted"] is True
    assert len(made["key"]) == 32
    assert made["webhook_endpoint"] is None
    assert made["auth_token"] == "secret"
    assert admin.get(f"vpn/{made['id']}/") == made
    [listed] = admin.get("vpn/")["results"]
    assert listed == {key: value for key, value in made.items() if key not in ("webhook_endpoint", "auth_token")}
    changed = admin.patch(f"vpn/{made['id']}/", {"color": "blue", "host": "new.example.org", "auth_token": ""})
    assert (changed["color"], changed["host"], changed["auth_token"]) == ("blue", "new.example.org", None)
    body = {"name": "mast", "host": "mast.example.org", "backend": TUNNEL, "config": {"places": 3}}
    replaced = admin.put(f"vpn/{made['id']}/", body)
    assert replaced["organization"] == organization
    assert replaced["color"] == "blue"
    assert replaced["key"] == made["key"]
    admin.delete(f"vpn/{made['id']}/")
    assert admin.get(f"vpn/{made['id']}/", 404) == {"detail": "No Vpn matches the given query."}


def test_bad_servers_are_refused_by_field_and_leave_nothing(admin, make_vpn, other_organization):
    required = {field: ["This field is required."] for field in ("name", "host", "backend", "config")}
    assert admin.post("vpn/", {}, 400) == required
    assert make_vpn(status=400, key="bad key")["key"] == 2 * ["This value must not contain spaces, dots or slashes."]
    assert make_vpn(status=400, backend="nope") == {"backend": ['"nope" is not a valid choice.']}
    assert make_vpn(status=400, config={}) == {
        "config": ["This field cannot be blank."],
        "__all__": ["'places' is a required property"],
    }
    for bad in ("a\\", "a'b", "a\nb"):
        assert make_vpn(status=400, host=bad) == {"host": ["Enter a host name or an IP address."]}
    for bad in ("not-a-url", "http://example.org:99999/", "http://[::1/"):
        assert make_vpn(status=400, webhook_endpoint=bad) == {"webhook_endpoint": ["Enter a valid URL."]}
    assert make_vpn(status=400, color=None) == {"color": ["A color is required."]}
    assert make_vpn(status=400, color="x" * 21) == {"color": ["Ensure this field has no more than 20 characters."]}
    assert admin.get("vpn/")["count"] == 0
    make_vpn(name="shared", organization=None)
    assert "another shared vpn" in make_vpn(status=400, name="shared")["name"][0]
    make_vpn()
    assert make_vpn(status=400) == {"non_field_errors": ["The fields organization, name must make a unique set."]}
    assert "vpn of another organization" in make_vpn(status=400, organization=None)["name"][0]


def test_filters_of_the_core_and_of_the_plugin(admin, make_vpn, organization, other_organization):
    red, blue = make_vpn("red"), make_vpn("blue", color="blue", organization=other_organization)

    def names(**query):
        return sorted(vpn["name"] for vpn in admin.get("vpn/", **query)["results"])

    assert names() == ["blue", "red"]
    assert names(color="red") == names(organization=organization) == names(organization_slug="org1") == [red["name"]]
    assert names(color="blue", backend=TUNNEL) == [blue["name"]]
    assert admin.get("vpn/", 400, backend="nope")["backend"]


def test_options_forms_and_the_document_know_the_fields_of_the_plugin(admin):
    color = admin.request("OPTIONS", "vpn/", status=200).json["actions"]["POST"]["color"]
    assert color["help_text"] == "What the tunnel is painted with."
    assert color["max_length"] == 20


def test_tenants_see_only_their_own_and_shared_servers(app, admin, runtime, make_vpn, organization, other_organization):
    own, foreign = make_vpn("own"), make_vpn("foreign", organization=other_organization)
    shared = make_vpn("shared", organization=None)
    administrator = type(admin)(app, make_user(runtime, "tenant", organization, "Administrator"))
    keys = {vpn["name"]: vpn["key"] for vpn in administrator.get("vpn/")["results"]}
    assert keys == {"shared": "********", "own": own["key"]}
    for path in (f"vpn/{foreign['id']}/", f"vpn/{foreign['id']}/configuration/"):
        administrator.get(path, 404)
    administrator.patch(f"vpn/{foreign['id']}/", {"notes": "mine"}, 404)
    administrator.patch(f"vpn/{shared['id']}/", {"notes": "mine"}, 403)
    administrator.patch(f"vpn/{own['id']}/", {"notes": "mine"})
    assert "organization" in administrator.patch(f"vpn/{own['id']}/", {"organization": None}, 400)
    template = {"name": "t", "organization": organization, "backend": "netjsonconfig.OpenWrt", "type": "vpn"}
    assert "vpn" in administrator.post("template/", template | {"vpn": foreign["id"]}, 400)
    administrator.post("template/", template | {"vpn": shared["id"]})


# Templates


def test_a_vpn_template_is_given_its_configuration_and_the_servers_variables(admin, make_vpn, make_client):
    vpn = make_vpn()
    template = make_client(vpn)
    assert template["vpn"] == vpn["id"]
    assert template["config"]["files"][0]["path"] == "/etc/tunnel"
    assert admin.get(f"template/{template['id']}/") == template
    archive = admin.request("GET", f"template/{template['id']}/configuration/", status=200).body
    number = "{{ number_" + vpn["id"].replace("-", "") + " }}"
    assert files(archive) == {"etc/tunnel": f"tower.example.org red {number}"}
    second = make_vpn("second")
    moved = admin.patch(f"template/{template['id']}/", {"vpn": second["id"]})
    assert second["id"].replace("-", "") in moved["config"]["files"][0]["contents"]
    plain = admin.patch(f"template/{template['id']}/", {"type": "generic"})
    assert plain["vpn"] is None
    assert plain["config"] == moved["config"]


def test_bad_vpn_templates_are_refused(admin, make_vpn, make_client, other_organization):
    vpn = make_vpn()
    selected = {"vpn": ['A VPN must be selected when template type is "VPN"']}
    assert make_client({"id": None}, status=400) == selected
    assert make_client(vpn, status=400, type="generic") == {
        "config": ["The configuration field cannot be empty."],
        "vpn": ["To select a VPN, set the template type to 'VPN-client'"],
    }
    mismatch = "the organization of this template and the organization of the related VPN server match."
    for organization in (other_organization, None):
        assert mismatch in make_client(vpn, status=400, organization=organization)["organization"][0]
    template = make_client(vpn)
    assert admin.patch(f"template/{template['id']}/", {"vpn": None}, 400) == selected
    assert "organization" in admin.patch(f"vpn/{vpn['id']}/", {"organization": other_organization}, 400)


# Clients


def test_a_device_becomes_a_client_and_stops_being_one(
    admin, organization, make_vpn, make_client, router, runtime, worker
):
    vpn, second = make_vpn(), make_vpn("second", color="blue")
    one, two = make_client(vpn), make_client(second, "other")
    device = admin.make_device(organization, templates=[one["id"]])
    assert tunnel_of(admin, device) == "tower.example.org red 1"
    assert server_file(admin, vpn) == "1\n"
    router(device).apply()
    # Another server: issued anew at once, and the device fetches it.
    admin.patch(f"device/{device['id']}/", {"config": {"templates": [two["id"]]}})
    assert (server_file(admin, vpn), server_file(admin, second), returned(runtime)) == ("", "1\n", 1)
    assert admin.state(device)["status"] == "modified"
    router(device).apply()
    assert tunnel_of(admin, device) == "second.example.org blue 1"
    admin.patch(f"vpn/{second['id']}/", {"color": "red"})
    assert tunnel_of(admin, device) == "second.example.org red 1"
    # The template's server changes: the worker follows.
    admin.patch(f"template/{two['id']}/", {"vpn": vpn["id"]})
    worker.run_due(0.0)
    assert (tunnel_of(admin, device), server_file(admin, second)) == ("tower.example.org red 1", "")
    # An empty list, deactivation, deletion.
    admin.patch(f"device/{device['id']}/", {"config": {"templates": []}})
    assert (tunnel_of(admin, device), server_file(admin, vpn), returned(runtime)) == (None, "", 3)
    admin.patch(f"device/{device['id']}/", {"config": {"templates": [two["id"]]}})
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    assert (server_file(admin, vpn), returned(runtime)) == ("", 4)
    other = admin.make_device(organization, "other", "00:11:22:33:44:66", templates=[one["id"]])
    admin.delete(f"device/{other['id']}/?force=true")
    assert (server_file(admin, vpn), returned(runtime)) == ("", 5)


def test_a_default_template_makes_many_clients_with_what_was_made_before_any_lock(
    admin, organization, make_vpn, make_client, runtime, worker
):
    vpn = make_vpn(places=7)
    devices = [admin.make_device(organization, f"r{n}", f"00:11:22:33:44:{n:02}") for n in range(9)]
    make_client(vpn, default=True)
    worker.run_due(0.0)
    with reading(runtime.session_factory) as session:
        assert session.scalars(sa.select(client_table.c.made_ahead)).all() == [True] * 7
    states = [admin.state(device) for device in devices]
    failed = [device for device, state in zip(devices, states, strict=True) if "all places are taken" in str(state)]
    assert len(failed) == 2
    # Two places become free, and those who wait get them.
    served = [device for device in devices if device not in failed]
    for device in served[:2]:
        admin.delete(f"device/{device['id']}/?force=true")
    worker.run_due(10.0)
    assert all(tunnel_of(admin, device) for device in failed)


def test_what_one_client_needs_is_made_before_any_lock_too(admin, organization, make_vpn, make_client, runtime):
    templates = [make_client(make_vpn(f"v{number}"), f"t{number}")["id"] for number in range(2)]
    device = admin.make_device(organization, templates=templates)
    admin.patch(f"device/{device['id']}/", {"config": {"templates": []}})
    admin.patch(f"device/{device['id']}/", {"config": {"templates": templates[:1]}})
    with reading(runtime.session_factory) as session:
        assert session.scalars(sa.select(client_table.c.made_ahead)).all() == [True]
    assert returned(runtime) == 2


def test_who_renders_at_the_same_time_makes_one_client(admin, organization, make_vpn, make_client, runtime, worker):
    vpn = make_vpn()
    for number in range(8):
        admin.make_device(organization, f"r{number}", f"00:11:22:33:44:{number:02}")
    worker.run_due(0.0)
    make_client(vpn, default=True)
    with reading(runtime.session_factory) as session:
        config_ids = session.scalars(sa.select(ConfigTemplate.config_id)).all()
    assert len(config_ids) == 8
    with ThreadPoolExecutor(4) as pool:
        # Some of them in the opposite order.
        orders = (config_ids, config_ids[::-1]) * 2
        attempts = [
            pool.submit(synchronize_all, runtime.session_factory, runtime.registry, ids, runtime.clock())
            for ids in orders
        ]
    assert [attempt.result() for attempt in attempts] == [{}] * 4
    assert server_file(admin, vpn) == "".join(f"{number}\n" for number in range(1, 9))


def test_an_operator_is_told_when_there_is_no_place(admin, organization, make_vpn, make_client):
    template = make_client(make_vpn(places=0))
    device = admin.make_device(organization)
    error = admin.patch(f"device/{device['id']}/", {"config": {"templates": [template["id"]]}}, 400)
    assert "all places are taken" in error["config"][0]
    assert admin.get(f"device/{device['id']}/")["config"]["templates"] == []


def test_variables_of_plugins_win_over_all_but_the_devices_own(admin, organization, make_vpn, make_client):
    vpn = make_vpn()
    host = f"vpn_host_{vpn['id'].replace('-', '')}"
    group = {"name": "g", "organization": organization, "context": {"weather": "foul", host: "g"}, "templates": []}
    group = admin.post("group/", group)
    device = admin.make_device(organization, templates=[make_client(vpn)["id"]])
    admin.patch(f"device/{device['id']}/", {"group": group["id"]})
    system = admin.get(f"device/{device['id']}/context/")["system"]
    assert (system["weather"], system[host]) == ("fair", "tower.example.org")
    admin.patch(f"device/{device['id']}/", {"config": {"context": {host: "own"}}})
    assert tunnel_of(admin, device) == "own red 1"


def test_one_template_a_server(admin, organization, make_vpn, make_client):
    vpn = make_vpn()
    templates = [make_client(vpn, name)["id"] for name in ("a", "b")]
    device = admin.make_device(organization)
    error = admin.patch(f"device/{device['id']}/", {"config": {"templates": templates}}, 400)
    assert error == {
        "config": [
            "You cannot select multiple VPN client templates related to the same VPN server.\n"
            'The templates "a" and "b" are all linked to the same VPN server: "tower".'
        ]
    }


def test_what_is_in_use_is_not_deleted_by_accident(admin, organization, make_vpn, make_client, runtime):
    vpn = make_vpn()
    template = make_client(vpn)
    device = admin.make_device(organization, "edge", templates=[template["id"]])
    for path in (f"vpn/{vpn['id']}/", f"template/{template['id']}/"):
        assert "edge" in admin.request("DELETE", path, status=409).json["detail"]
    assert "backend" in admin.patch(f"vpn/{vpn['id']}/", {"backend": "x"}, 400)
    admin.delete(f"vpn/{vpn['id']}/?force=true")
    admin.get(f"template/{template['id']}/", 404)
    assert (tunnel_of(admin, device), returned(runtime)) == (None, 1)
    unused = make_vpn()
    unused_template = make_client(unused)
    admin.delete(f"vpn/{unused['id']}/")
    admin.get(f"template/{unused_template['id']}/", 404)


def test_an_organization_that_goes_takes_its_clients_along(admin, organization, make_vpn, make_client, runtime):
    admin.make_device(organization, templates=[make_client(make_vpn())["id"]])
    admin.delete(f"/api/v1/users/organization/{organization}/")
    assert returned(runtime) == 1


OPERATIONS = ("assign", "assign", "assign", "deactivate", "activate", "delete", "default", "switch", "drop", "work")


FRESH = count()


# No shrinking: the database remembers what the failed example did.
@settings(
    max_examples=1,
    deadline=None,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32))
def test_no_order_of_operations_leaves_an_orphan(seed, admin, organization, make_vpn, make_client, runtime, worker):
    random = Random(seed)
    vpns = [make_vpn(f"vpn-{next(FRESH)}") for _ in range(3)]
    templates = {make_client(vpn, f"{vpn['name']}-t")["id"]: vpn["id"] for vpn in vpns}
    devices: list = []
    # SQLite is the quicker one here.
    for step in range(200 if runtime.engine.dialect.name == "sqlite" else 60):
        if len(devices) < 3:
            mac = ":".join(f"{byte:02x}" for byte in next(FRESH).to_bytes(6, "big"))
            devices.append(admin.make_device(organization, f"d{next(FRESH)}", mac))
        device, template = random.choice(devices), random.choice(list(templates))
        match random.choice(OPERATIONS):
            case "assign":
                wanted = {templates[each]: each for each in random.sample(list(templates), random.randrange(4))}
                patch = {"config": {"templates": list(wanted.values())}}
                admin.request("PATCH", f"device/{device['id']}/", patch, status="*")
            case "deactivate" | "activate" as verb:
                admin.request("POST", f"device/{device['id']}/{verb}/", status="*")
            case "delete":
                admin.delete(f"device/{device['id']}/?force=true")
                devices.remove(device)
            case "default":
                admin.patch(f"template/{template}/", {"default": random.random() < 0.5})
            case "switch":
                vpn = random.choice(vpns)["id"]
                admin.patch(f"template/{template}/", {"vpn": vpn})
                templates[template] = vpn
            case "drop" if random.random() < 0.2:
                admin.delete(f"template/{template}/?force=true")
                del templates[template]
                vpn = random.choice(vpns)
                made = make_client(vpn, f"fresh-{next(FRESH)}")
                templates[made["id"]] = vpn["id"]
            case _:
                worker.run_due(step * 10.0)
    worker.run_due(10_000.0)
    with reading(runtime.session_factory) as session:
        wanted = session.execute(
            sa.select(ConfigTemplate.config_id, Template.vpn_id)
            .join(Template, Template.id == ConfigTemplate.template_id)
            .where(Template.vpn_id.is_not(None))
            .distinct()
        ).all()
        clients = session.execute(sa.select(VpnClient.config_id, VpnClient.vpn_id, VpnClient.id)).all()
        assert sorted(wanted) == sorted((config_id, vpn_id) for config_id, vpn_id, _ in clients)
        numbers = session.execute(sa.select(client_table)).all()
        assert {row.client_id for row in numbers} == {client.id for client in clients}
        assert max(Counter((row.vpn_id, row.number) for row in numbers).values(), default=1) == 1
    for vpn in vpns:
        expected = sorted(row.number for row in numbers if str(row.vpn_id) == vpn["id"])
        assert server_file(admin, vpn) == "".join(f"{number}\n" for number in expected)


# What servers fetch


def poll(app, vpn, what="checksum", status=200, key=None):
    return app.get(f"/controller/vpn/{what}/{vpn['id']}/", {"key": vpn["key"] if key is None else key}, status=status)


def test_a_server_polls_and_downloads(app, admin, organization, make_vpn, make_client, runtime):
    vpn = make_vpn()
    checksum = poll(app, vpn)
    assert checksum.headers["X-Openwisp-Controller"] == "true"
    assert checksum.content_type == "text/plain"
    downloaded = poll(app, vpn, "download-config")
    assert hashlib.md5(downloaded.body, usedforsecurity=False).hexdigest() == checksum.text
    assert downloaded.headers["Content-Disposition"] == "attachment; filename=tower.tar.gz"
    assert poll(app, {**vpn, "id": vpn["id"].replace("-", "")}).text == checksum.text
    admin.make_device(organization, templates=[make_client(vpn)["id"]])
    assert poll(app, vpn).text != checksum.text
    assert poll(app, vpn, status=400, key="").text == 'error: missing required parameter "key"\n'
    for what in ("checksum", "download-config"):
        assert poll(app, vpn, what, 403, "wrong").text == "error: wrong key\n"
    poll(app, {**vpn, "id": organization}, status=404)
    app.post(f"/controller/vpn/checksum/{vpn['id']}/", status=405)
    admin.patch(f"/api/v1/users/organization/{organization}/", {"is_active": False})
    poll(app, vpn, status=404)


def test_files_that_cannot_be_rendered_leave_the_last_ones_in_service(app, admin, make_vpn):
    vpn = make_vpn()
    checksum = poll(app, vpn).text
    admin.patch(f"vpn/{vpn['id']}/", {"config": {"places": 1, "broken": True}})
    assert poll(app, vpn).text == checksum
    never = make_vpn("never", config={"places": 1, "broken": True})
    poll(app, never, status=503)
    assert admin.get(f"vpn/{never['id']}/configuration/", 400) == {"__all__": ["it is broken"]}


class Hook(BaseHTTPRequestHandler):
    """A webhook that notes how it was called and answers what it is told to."""

    def do_POST(self):
        self.server.calls.append((self.path, self.headers["Content-Length"], self.headers["Content-Type"]))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def webhook():
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.calls, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_told_once_of_many_changes_and_again_until_it_answers(
    admin, organization, make_vpn, make_client, worker, clock, webhook
):
    endpoint = f"http://127.0.0.1:{webhook.server_port}/trigger-update"
    vpn = make_vpn(webhook_endpoint=endpoint, auth_token="a b&c")
    template = make_client(vpn)
    worker.run_due(0.0)
    assert webhook.calls == [("/trigger-update?key=a%20b%26c", "0", None)]
    for number in range(3):
        admin.make_device(organization, f"r{number}", f"00:11:22:33:44:{number:02}", templates=[template["id"]])
    webhook.status = 500
    worker.run_due(10.0)
    worker.run_due(20.0)
    assert len(webhook.calls) == 2
    clock.advance(6)
    worker.run_due(30.0)
    assert len(webhook.calls) == 3
    webhook.status = 200
    clock.advance(60)
    worker.run_due(40.0)
    worker.run_due(50.0)
    assert len(webhook.calls) == 4


def test_a_webhook_that_an_operator_puts_right_is_told_at_once(admin, make_vpn, worker, webhook, runtime):
    def unheard():
        with reading(runtime.session_factory) as session:
            return silent(session)

    endpoint = f"http://127.0.0.1:{webhook.server_port}/grüße"
    webhook.status = 403
    vpn = make_vpn(webhook_endpoint=endpoint, auth_token="wrong")
    worker.run_due(0.0)
    assert unheard() == [vpn["name"]]
    webhook.status = 200
    admin.patch(f"vpn/{vpn['id']}/", {"notes": "still wrong"})
    worker.run_due(10.0)
    admin.patch(f"vpn/{vpn['id']}/", {"auth_token": "right"})
    worker.run_due(20.0)
    assert [path for path, *_ in webhook.calls] == [f"/gr%C3%BC%C3%9Fe?key={token}" for token in ("wrong", "right")]
    assert unheard() == []


# Plugins


def without(*names):
    kept = {name: value for name, value in vars(tunnel_plugin).items() if name not in names}
    return SimpleNamespace(**{name: value for name, value in kept.items() if hasattr(value, "guywire_impl")})


def test_a_backend_whose_service_is_missing_stops_the_start(runtime):
    with pytest.raises(PluginError, match=r"VPN backend 'tests.Tunnel' needs Paint, which no plugin provides"):
        create_app(runtime.settings, plugins=[("tunnel", without("register_services"))])


def test_a_field_group_without_a_place_stops_the_start(runtime):
    [group] = tunnel_plugin.register_fields()
    misplaced = SimpleNamespace(register_fields=tunnel_plugin.hookimpl(lambda: [type(group)(**_parts(group))]))
    with pytest.raises(PluginError, match="has no place after 'nowhere'"):
        create_app(runtime.settings, plugins=[("misplaced", misplaced)])


def _parts(group):
    return {**{name: getattr(group, name) for name in group.__dataclass_fields__}, "after": "nowhere"}


def test_servers_of_a_blocked_plugin_stay_and_their_clients_wait(
    make_app, admin, organization, make_vpn, make_client, settings, clock
):
    from guywire.testing import Client
    from webtest import TestApp

    vpn = make_vpn()
    template = make_client(vpn)
    device = admin.make_device(organization, templates=[template["id"]])
    application = create_app(settings, plugins=[], clock=clock)
    try:
        bare = Client(TestApp(application), admin.token)
        assert "color" not in bare.get(f"vpn/{vpn['id']}/")
        assert "not available" in bare.patch(f"vpn/{vpn['id']}/", {"notes": "x"}, 400)["backend"][0]
        bare.patch(f"device/{device['id']}/", {"config": {"templates": []}})
    finally:
        application.registry.poll_reader.close()
        application.registry.runtime.close()
    assert server_file(admin, vpn) == "1\n"
