"""Stories of addresses: the next free one, lists of hosts, files of them; and that nobody gets one twice."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from uuid import UUID

import pytest
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.interfaces import AddressUnavailable
from guywire.testing import Client
from guywire.testing.fixtures import make_user
from guywire_ipam.models import IpAddress, Subnet
from guywire_ipam.services import pool, tree
from guywire_ipam.services.provider import Addresses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SUBNETS = "/api/v1/ipam/subnet/"
ADDRESSES = "/api/v1/ipam/ip-address/"
IMPORT = "/api/v1/ipam/import-subnet/"


@pytest.fixture
def make(admin, organization):
    """A function that makes a subnet and returns its path."""

    def make(subnet, **fields):
        body = {"name": subnet, "subnet": subnet, "organization": organization, **fields}
        return f"{SUBNETS}{admin.post(SUBNETS, body)['id']}/"

    return make


def request(client, path, description="", status=201):
    return client.request("POST", f"{path}request-ip/", {"description": description}, status)


def next_of(client, path):
    return client.request("GET", f"{path}get-next-available-ip/", status=200)


SMALL = [
    ("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"]),
    ("10.0.0.0/31", ["10.0.0.0", "10.0.0.1"]),
    ("10.0.0.7/32", ["10.0.0.7"]),
    ("255.255.255.252/30", ["255.255.255.253", "255.255.255.254"]),
    ("255.255.255.254/31", ["255.255.255.254", "255.255.255.255"]),
    ("fd00::/126", ["fd00::1", "fd00::2", "fd00::3"]),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
]


def test_hosts_get_all_addresses_that_hosts_may_have_and_then_none(admin, make):
    for subnet, hosts in SMALL:
        path = make(subnet)
        take_all(admin, path, hosts)
        admin.delete(path)


def take_all(admin, path, hosts):
    for address in hosts:
        assert next_of(admin, path).json == address
        assert request(admin, path).json["ip_address"] == address
    for answer in (next_of(admin, path), request(admin, path, status=200)):
        assert (answer.body, answer.content_type) == (b"", None)
    usage = {"total": len(hosts), "used": len(hosts), "reserved": 0, "available": 0}
    assert admin.get(f"{path}allocation/") == usage
    listed = admin.get(f"{path}ip-address/")
    assert [each["ip_address"] for each in listed["results"]] == hosts
    admin.delete(f"{ADDRESSES}{listed['results'][0]['id']}/")
    assert next_of(admin, path).json == hosts[0]


def test_an_address_is_taken_edited_and_freed(admin, make):
    path = make("10.0.0.0/24")
    assert request(admin, path, status=201).json["description"] == ""
    admin.request("POST", f"{path}request-ip/", {}, 400)
    subnet = path.split("/")[-2]
    taken = admin.post(f"{path}ip-address/", {"ip_address": "10.0.0.5", "subnet": subnet, "description": "x"})
    assert list(taken) == ["id", "created", "modified", "ip_address", "description", "subnet"]
    own = f"{ADDRESSES}{taken['id']}/"
    assert admin.patch(own, {"ip_address": "10.0.0.2"})["ip_address"] == "10.0.0.2"
    assert next_of(admin, path).json == "10.0.0.3"
    assert admin.patch(own, {"ip_address": "10.0.0.1"}, 400) == {"ip_address": ["IP address already used."]}
    outside = {"ip_address": ["IP address does not belong to the subnet"]}
    for address in ("10.0.1.1", "fd00::1"):
        assert admin.put(own, {"ip_address": address, "subnet": subnet}, 400) == outside
    other = make("10.1.0.0/24").split("/")[-2]
    assert admin.patch(own, {"subnet": other}, 400) == outside
    moved = admin.patch(own, {"subnet": other, "ip_address": "10.1.0.9"})
    assert (moved["subnet"], moved["description"]) == (other, "x")
    assert next_of(admin, path).json == "10.0.0.2"
    for wrong in ("fe80::1%eth0", "1.2.3", 7, {}):
        body = {"ip_address": wrong, "subnet": subnet}
        assert admin.post(f"{path}ip-address/", body, 400) == {"ip_address": ["Enter a valid IPv4 or IPv6 address."]}
    assert "subnet" in admin.post(f"{path}ip-address/", {"ip_address": "10.1.0.1", "subnet": other}, 400)


def test_hosts_come_in_pages_even_where_nobody_could_count_them(admin, make):
    path = make("fd00::/48")
    request(admin, path)
    child = make("fd00::/64", master_subnet=path.split("/")[-2])
    inner = request(admin, child).json
    first = admin.get(f"{path}hosts/")
    assert len(first["results"]) == 256
    assert first["results"][1] == {"address": "fd00::2", "used": False, "reserved": True, "ip_address_id": None}
    assert admin.get(f"{child}hosts/")["results"][1]["ip_address_id"] == inner["id"]
    assert first["previous"] is None
    second = admin.request("GET", first["next"].removeprefix("http://localhost"), status=200).json
    assert second["results"][0]["address"] == "fd00::101"
    assert second["previous"].endswith("/hosts/?start=fd00%3A%3A1")
    last = admin.get(f"{path}hosts/", start="fd00:0:0:ffff:ffff:ffff:ffff:ffff")
    assert (len(last["results"]), last["next"]) == (1, None)
    assert admin.get(f"{path}hosts/", 400, start="10.0.0.1") == {"detail": "Invalid Address"}
    assert admin.get(f"{path}hosts/", start="nonsense") == first
    usage = admin.request("GET", f"{path}allocation/", status=200).text
    assert usage == f'{{"total":{2**80 - 1},"used":1,"reserved":1,"available":{2**80 - 3}}}'


def upload(client, text, status=200, name="subnet.csv"):
    files = [("csvfile", name, text if isinstance(text, bytes) else text.encode())]
    headers = {"Authorization": f"Bearer {client.token}"}
    return client.app.post(IMPORT, upload_files=files, headers=headers, status=status).json


def test_a_subnet_comes_back_from_its_file(admin, make, organization):
    path = make("10.0.0.0/24", name='a "name", with a comma')
    request(admin, path, "é, or what")
    request(admin, path)
    answer = admin.request("POST", f"{path}export/", status=200)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ip_address.csv"'
    assert answer.content_type == "text/csv"
    before = admin.get(f"{path}ip-address/")["results"]
    admin.delete(path)
    for _ in range(2):
        assert upload(admin, answer.body) == {"detail": "Data imported successfully."}
    [made] = admin.get(SUBNETS)["results"]
    assert (made["name"], made["subnet"], made["organization"]) == (
        'a "name", with a comma',
        "10.0.0.0/24",
        organization,
    )
    after = admin.get(f"{SUBNETS}{made['id']}/ip-address/")["results"]
    same = ("ip_address", "description")
    assert [[each[key] for key in same] for each in after] == [[each[key] for key in same] for each in before]
    assert next_of(admin, f"{SUBNETS}{made['id']}/").json == "10.0.0.3"
    # Shared ones have no organization.
    assert upload(admin, "s\n10.1.0.0/24\n\n\nip_address,description\n10.1.0.7,\n")
    [shared] = [each for each in admin.get(SUBNETS)["results"] if each["name"] == "s"]
    assert shared["organization"] is None
    text = admin.request("POST", f"{SUBNETS}{shared['id']}/export/", status=200).text
    assert text == "s\r\n10.1.0.0/24\r\n\r\n\r\nip_address,description\r\n10.1.0.7,\r\n"


WRONG = [
    ("", "ends too early"),
    ("n\n10.0.0.0/24\n", "ends too early"),
    ("\n10.0.0.0/24\norg1\n\nip_address,description\n", "name"),
    ("n\nzz\norg1\n\nip_address,description\n", "'zz' does not appear to be an IPv4 or IPv6 network"),
    ("n\n10.0.0.0/24\nnope\n\nip_address,description\n", "nope"),
    ("n\n10.0.0.0/24\norg1\n\n10.0.0.1,x\n", "ip_address,description"),
    ("n\n10.0.0.0/24\norg1\n\nip_address,description\n10.0.0.1,\n10.0.1.1,x\n", "Line 7: IP address does not"),
    ("n\n10.0.0.0/24\norg1\n\nip_address,description\nzz,x\n", "Line 6: 'zz'"),
    (f"n\n10.0.0.0/24\norg1\n\nip_address,description\n10.0.0.1,{'x' * 101}\n", "Line 6"),
    ("n\n10.9.0.0/25\norg1\n\nip_address,description\n10.9.0.1,\n", "overlaps with 10.9.0.0/24"),
    ('n\n10.0.0.0/24\norg1\n\nip_address,description\n"10.0.0.1,x\n', "not CSV"),
    (b"\xff\n10.0.0.0/24\norg1\n", "UTF-8"),
    ("n\n10.0.0.0/24\norg1\n\nip_address,description\n10.0.0.1,\0\n", "null"),
]


def test_a_wrong_file_is_refused_whole(admin, make):
    make("10.9.0.0/24")
    for text, word in WRONG:
        assert word in upload(admin, text, 400)["error"]
    assert admin.get(SUBNETS)["count"] == 1


def test_who_may_import_what(admin, operator, app, organization, other_organization, runtime):
    file = "n\n10.0.0.0/24\n{}\n\nip_address,description\n10.0.0.1,x\n"
    manager = Client(app, make_user(runtime, "manager", organization, "Administrator"))
    upload(operator, file.format("org1"), 403)
    assert upload(manager, file.format("org2"), 403) == {
        "error": "You do not have permission to import data into this organization"
    }
    assert "only superusers" in upload(manager, file.format(""), 400)["error"]
    assert upload(manager, file.format("org1"))
    assert upload(admin, file.format("org2"))
    assert upload(admin, file.format("org1"), 400, name="s.xls") == {"error": "File type not supported."}
    assert "missing" in admin.post(IMPORT, {"csvfile": "text"}, 400)["error"]
    operator.request("POST", f"{SUBNETS}{manager.get(SUBNETS)['results'][0]['id']}/export/", status=200)


# Nobody gets an address twice


class Ledger:
    """What is taken in a tree of subnets, kept in the simplest way."""

    def __init__(self, session, now, organization_id):
        self.session, self.now, self.taken = session, now, {}

        def make(subnet, master=None):
            fields = {"name": subnet, "subnet": ip_network(subnet), "organization": organization_id}
            return tree.create(session, fields | {"master_subnet": master and master.id}, now)

        self.outer = make("10.0.0.0/27")
        self.inner = make("10.0.0.8/29", self.outer)
        self.subnets = [self.outer, self.inner]

    def free_in(self, subnet):
        return [address for address in ip_network(subnet.subnet).hosts() if address not in self.taken]

    def step(self, kind, choice):
        subnet = self.subnets[choice % len(self.subnets)]
        if kind == "next":
            try:
                [row] = pool.take_next(self.session, subnet, ["x"], self.now)
            except pool.AddressRefused:
                assert not self.free_in(subnet)
            else:
                assert row["ip_address"] == self.free_in(subnet)[0]
                self.taken[row["ip_address"]] = row["id"]
        elif kind == "several":
            wanted = choice % 5 + 1
            try:
                rows = pool.take_next(self.session, subnet, ["x"] * wanted, self.now)
            except pool.AddressRefused:
                assert len(self.free_in(subnet)) < wanted
            else:
                assert [row["ip_address"] for row in rows] == self.free_in(subnet)[:wanted]
                self.taken |= {row["ip_address"]: row["id"] for row in rows}
        elif kind == "certain":
            address = ip_address("10.0.0.0") + choice % 40
            may = address in ip_network(subnet.subnet) and address not in self.taken
            try:
                self.taken[address] = pool.take(self.session, subnet, address, "", self.now)["id"]
            except pool.AddressRefused:
                assert not may
            else:
                assert may
        elif kind == "move" and self.taken:
            address = sorted(self.taken)[choice % len(self.taken)]
            to = ip_address("10.0.0.0") + choice % 32
            row = self.session.get_one(IpAddress, self.taken[address])
            try:
                pool.move(self.session, row, self.outer, to)
            except pool.AddressRefused:
                assert to in self.taken
                assert to != address
            else:
                self.taken[to] = self.taken.pop(address)
        elif self.taken:
            gone = [self.taken.pop(sorted(self.taken)[choice % len(self.taken)])]
            if choice % 3 == 0 and self.taken:
                gone.append(self.taken.pop(sorted(self.taken)[choice % len(self.taken)]))
            Addresses().release(self.session, gone)

    def check(self):
        rows = self.session.execute(
            sa.select(IpAddress.ip_address, Subnet.subnet, IpAddress.ends_run).join(
                Subnet, Subnet.id == IpAddress.subnet_id
            )
        ).all()
        assert sorted(ip_address(row.ip_address) for row in rows) == sorted(self.taken)
        for address, subnet, ends_run in rows:
            assert ip_address(address) in ip_network(subnet)
            assert ends_run == (ip_address(address) + 1 not in self.taken)
        for subnet in self.subnets:
            assert list(pool.free_addresses(self.session, subnet)) == self.free_in(subnet)


steps = st.lists(
    st.tuples(st.sampled_from(["next", "next", "several", "certain", "move", "free"]), st.integers(0, 1000)),
    max_size=60,
)


def test_allocation_never_doubles_and_never_leaves_the_subnet(runtime, organization, clock):
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(steps)
    def histories(history):
        with runtime.session_factory() as session:
            ledger = Ledger(session, clock(), UUID(organization))
            for kind, choice in history:
                ledger.step(kind, choice)
            ledger.check()
            # With a subnet goes what was taken in it, and nothing else.
            of_inner = sa.select(IpAddress.ip_address).where(IpAddress.subnet_id == ledger.inner.id)
            for address in session.scalars(of_inner).all():
                del ledger.taken[ip_address(address)]
            tree.delete(session, ledger.inner, force=True)
            ledger.subnets = [ledger.outer]
            ledger.check()
            session.rollback()

    histories()


def test_threads_never_get_the_same_address(runtime, make, clock):
    subnet_id = UUID(make("10.0.0.0/26").split("/")[-2])
    provider = Addresses()

    def work(number):
        taken = []
        for turn in range(10):
            with writing(runtime.session_factory) as session:
                taken += provider.allocate(session, subnet_id, [f"{number}"] * (turn % 3 + 1), clock())
            if turn % 4 == 3:
                with writing(runtime.session_factory) as session:
                    provider.release(session, [taken.pop(0).id])
        return taken

    with ThreadPoolExecutor(3) as threads:
        addresses = [each.address for taken in threads.map(work, range(3)) for each in taken]
    assert len(set(addresses)) == len(addresses) == 3 * 17
    with reading(runtime.session_factory) as session:
        assert sorted(session.scalars(sa.select(IpAddress.ip_address))) == sorted(addresses)
    with writing(runtime.session_factory) as session, pytest.raises(AddressUnavailable, match="no free address"):
        provider.allocate(session, subnet_id, ["x"] * 12, clock())
    with writing(runtime.session_factory) as session:
        assert len(provider.allocate(session, subnet_id, ["x"] * 11, clock())) == 11


def test_what_the_database_deletes_by_itself_is_free_again(runtime, admin, organization, make):
    shared = f"{SUBNETS}{admin.post(SUBNETS, {'name': 's', 'subnet': '10.0.0.0/29'})['id']}/"
    child = make("10.0.0.0/30", master_subnet=shared.split("/")[-2])
    for path in (child, child, shared, shared, shared, shared):
        request(admin, path)
    assert next_of(admin, shared).body == b""
    admin.delete(f"/api/v1/users/organization/{organization}/")
    assert [request(admin, shared).json["ip_address"] for _ in range(2)] == ["10.0.0.1", "10.0.0.2"]
    assert request(admin, shared, status=200).body == b""


def test_the_next_address_is_a_step_in_an_index(runtime, make):
    subnet_id = UUID(make("10.0.0.0/8").split("/")[-2])
    plans = []

    def explain(connection, cursor, statement, parameters, context, executemany):
        if "ipam_ip_address" in statement and "ORDER BY" in statement:
            explained = cursor.connection.cursor()
            command = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
            plans.append(str(explained.execute(command + statement, parameters).fetchall()))
            explained.close()

    with runtime.session_factory() as session:
        if session.get_bind().dialect.name == "postgresql":
            # It would rather read all of a table that is as small as this one.
            session.execute(sa.text("SET LOCAL enable_seqscan = off"))
            session.execute(sa.text("SET LOCAL enable_sort = off"))
        subnet = session.get_one(Subnet, subnet_id)
        pool.take_next(session, subnet, ["x"] * 100, subnet.created)
        sa.event.listen(runtime.engine, "before_cursor_execute", explain)
        assert str(next(pool.free_addresses(session, subnet))) == "10.0.0.101"
        sa.event.remove(runtime.engine, "before_cursor_execute", explain)
        session.rollback()
    [plan] = plans
    assert "ix_ipam_ip_address_ends_run" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
