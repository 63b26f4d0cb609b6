"""Stories of credentials: what is accepted, who is shown secrets, and which devices get them by themselves."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from guywire.db import writing
from guywire.models import Config, Permission, User
from guywire.testing import Client
from guywire.testing.fixtures import make_user
from guywire_ssh_connection.connectors.keys import private_key
from webtest import TestApp

SSH = "openwisp_controller.connection.connectors.ssh.Ssh"
SNMP = "openwisp_controller.connection.connectors.openwrt.snmp.OpenWRTSnmp"
OPENWRT = "openwisp_controller.connection.connectors.openwrt.ssh.OpenWrt"
SECRET = "s3cret-pass"
MASK = "********"


@pytest.fixture
def make(admin, organization):
    """A function that makes credentials."""

    def make(name="c", status=201, client=None, **fields):
        params = {"username": "root", "password": SECRET, "port": 22}
        body = {"name": name, "organization": organization, "connector": SSH, "params": params}
        return (client or admin).post("credential/", body | fields, status)

    return make


@pytest.fixture
def administrator(app, runtime, organization):
    """A manager of the organization, in the stock group Administrator."""
    return Client(app, make_user(runtime, "administrator", organization, "Administrator"))


def pem(key, form=PrivateFormat.OpenSSH):
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def connections(client, device):
    return client.get(f"device/{device['id']}/connection/")["results"]


def test_both_paths_lead_to_the_same_credentials_whose_secrets_are_sealed(admin, make, runtime):
    made = make()
    assert list(made) == ["id", "connector", "name", "organization", "auto_add", "params", "created", "modified"]
    other = f"/api/v1/connection/credential/{made['id']}/"
    assert admin.get(other) == made
    assert admin.patch(other, {"name": "renamed"})["params"]["password"] == SECRET
    assert admin.get("credential/")["results"][0]["name"] == "renamed"
    with runtime.engine.connect() as connection:
        stored = connection.execute(sa.text("SELECT params FROM ssh_connection_credentials")).scalar()
    assert SECRET.encode() not in bytes(stored)


def test_parameters_are_what_the_connector_needs(make):
    def refused(**fields):
        return make(status=400, **fields)

    too_short = refused(params={"username": "root", "password": "abc"})
    assert too_short == {"params": ["'abc' is too short"]}
    blank = refused(params={})
    assert blank == {"params": ["This field cannot be blank.", "{} is not valid under any of the given schemas"]}
    assert refused(connector="zz") == {"connector": ['"zz" is not a valid choice.']}
    assert refused(connector=SNMP) == {
        "params": ["Additional properties are not allowed ('password', 'username' were unexpected)"]
    }
    only = "Unrecognized or unsupported SSH key algorithm, only RSA and ED25519 are currently supported."
    curve = pem(ec.generate_private_key(ec.SECP256R1()))
    for key in (curve, "-----BEGIN RSA PRIVATE KEY-----\n" + "garbage " * 9, "\0" * 70):
        assert refused(params={"username": "root", "key": key}) == {"params": [only]}
    assert make(params={"username": "root", "key": pem(ed25519.Ed25519PrivateKey.generate())})["auto_add"] is False
    assert refused() == {"non_field_errors": ["The fields name, organization must make a unique set."]}


def test_keys_are_understood_however_they_are_written():
    for key in (rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()):
        forms = [PrivateFormat.OpenSSH, PrivateFormat.PKCS8]
        forms += [PrivateFormat.TraditionalOpenSSL] if isinstance(key, rsa.RSAPrivateKey) else []
        assert len({private_key(pem(key, form)).get_base64() for form in forms}) == 1


def test_secrets_are_for_those_who_may_change_them(admin, administrator, make, app, runtime, organization):
    own, shared = make("own"), make("shared", organization=None)
    assert administrator.get(f"credential/{own['id']}/")["params"]["password"] == SECRET
    assert administrator.get(f"credential/{shared['id']}/")["params"] == {
        "username": "root",
        "password": MASK,
        "port": 22,
    }
    listed = {each["name"]: each["params"]["password"] for each in administrator.get("credential/")["results"]}
    assert listed == {"own": SECRET, "shared": MASK}
    viewer = Client(app, make_user(runtime, "viewer", organization))
    with writing(runtime.session_factory) as session:
        user = session.scalars(sa.select(User).where(User.username == "viewer")).one()
        may = sa.select(Permission).where(Permission.codename == "view_credentials")
        user.permissions.append(session.scalars(may).one())
    body = viewer.get(f"credential/{own['id']}/")
    assert body["params"]["password"] == MASK
    # Who sends back what they were shown changes nothing but what they meant to.
    params = body["params"] | {"username": "admin"}
    changed = admin.patch(f"credential/{own['id']}/", {"params": params})
    assert changed["params"] == {"username": "admin", "password": SECRET, "port": 22}
    # Where there is no secret yet, none is meant by it.
    there_is_none = {"params": ["password: ******** means that the secret stays as it is, and there is none."]}
    assert make("copy", 400, params=params) == there_is_none


def test_only_superusers_share_credentials(administrator, make, organization):
    assert make(client=administrator, organization=None, status=400) == {
        "organization": ["This field may not be null."]
    }
    own = make(client=administrator)
    body = {"name": "c", "connector": SSH, "params": {"username": "root", "password": "an0ther-pass"}}
    assert administrator.put(f"credential/{own['id']}/", body)["organization"] == organization
    assert administrator.put(f"credential/{own['id']}/", body | {"organization": None}, 400)


def test_devices_get_the_credentials_that_are_for_all(admin, make, worker, runtime, organization, other_organization):
    there = admin.make_device(organization)
    strange = admin.make_device(organization, "strange", "00:00:00:00:00:02")
    elsewhere = admin.make_device(other_organization, "elsewhere", "00:00:00:00:00:03")
    bare = admin.post("device/", {"name": "bare", "organization": organization, "mac_address": "00:00:00:00:00:04"})
    with writing(runtime.session_factory) as session:
        # A backend whose plugin is gone: no strategy is known for it, and that must not keep others from theirs.
        session.execute(sa.update(Config).where(Config.device_id == UUID(strange["id"])).values(backend="gone.Gone"))
    own = make("own", auto_add=True)
    assert connections(admin, there) == []
    worker.run_due(0.0)
    [connection] = connections(admin, there)
    assert (connection["credentials"], connection["update_strategy"]) == (own["id"], OPENWRT)
    assert (connection["enabled"], connection["is_working"], connection["failure_reason"]) == (True, None, "")
    assert connections(admin, strange) == connections(admin, elsewhere) == connections(admin, bare) == []
    shared = make("shared", organization=None, auto_add=True)
    worker.run_due(1000.0)
    new = admin.make_device(organization, "new", "00:00:00:00:00:05")
    everywhere = {shared["id"], own["id"]}
    assert {each["credentials"] for each in connections(admin, new)} == everywhere
    assert {each["credentials"] for each in connections(admin, there)} == everywhere
    assert [each["credentials"] for each in connections(admin, elsewhere)] == [shared["id"]]
    admin.patch(f"credential/{own['id']}/", {"auto_add": False})
    assert len(connections(admin, new)) == 2
    admin.delete(f"credential/{own['id']}/")
    assert len(connections(admin, new)) == 1


def test_credentials_stay_within_their_organization(admin, make, organization, other_organization):
    device = admin.make_device(organization)
    own, shared = make("own"), make("shared", organization=None)
    for credentials in (own, shared):
        admin.post(f"device/{device['id']}/connection/", {"credentials": credentials["id"]})
    refused = admin.patch(f"credential/{own['id']}/", {"organization": other_organization}, 400)
    assert refused == {"organization": ["Devices of another organization have these credentials."]}
    theirs = make("theirs", organization=other_organization, auto_add=True)
    admin.patch(f"device/{device['id']}/", {"organization": other_organization})
    assert {each["credentials"] for each in connections(admin, device)} == {shared["id"], theirs["id"]}


def test_no_device_keeps_credentials_that_change_hands_or_go_meanwhile(
    app, admin, make, organization, other_organization
):
    """However the requests follow each other."""
    headers = {"Authorization": f"Bearer {admin.token}"}
    devices = [admin.make_device(organization, f"d{n}", f"02:00:00:00:00:0{n}") for n in range(4)]
    lost, moved = make("lost"), make("moved")

    def request(wanted):
        method, path, body = wanted
        url = f"/api/v1/controller/{path}"
        # WebTest's own object remembers cookies and is not for several threads.
        return getattr(TestApp(app.app), method)(url, body, headers=headers, status="*").status_int

    wanted = [("post_json", f"device/{each['id']}/connection/", {"credentials": lost["id"]}) for each in devices]
    wanted.insert(2, ("delete_json", f"credential/{lost['id']}/", {}))
    wanted += [("post_json", f"device/{each['id']}/connection/", {"credentials": moved["id"]}) for each in devices]
    wanted.insert(6, ("patch_json", f"credential/{moved['id']}/", {"organization": other_organization}))
    with ThreadPoolExecutor(5) as threads:
        assert set(threads.map(request, wanted)) <= {200, 201, 204, 400, 503}
    has_moved = admin.get(f"credential/{moved['id']}/")["organization"] == other_organization
    found = [each["credentials"] for device in devices for each in connections(admin, device)]
    assert not (has_moved and moved["id"] in found)
