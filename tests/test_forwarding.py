"""Stories behind proxies: who really asks, and who only says so."""

from dataclasses import replace
from io import BytesIO
from ipaddress import ip_network

import pytest
from guywire.app import create_app
from guywire.forwarding import TrustedProxies
from webtest import TestApp

PROXY, OTHER_PROXY, CLIENT, LIAR = "10.0.0.1", "10.0.0.2", "81.2.69.160", "198.51.100.9"
NETWORKS = tuple(ip_network(text) for text in ("10.0.0.0/24", "fd00::/8"))


class Echo:
    """An application that answers with what it was told of the caller."""

    registry = None

    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return [f"{environ.get('REMOTE_ADDR')} {environ['wsgi.url_scheme']}".encode()]


def seen(address, forwarded=None, proto=None, networks=NETWORKS):
    """Who the application thinks that asks, and by which scheme."""
    environ = {"REMOTE_ADDR": address, "wsgi.url_scheme": "http", "REQUEST_METHOD": "GET"}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    if proto is not None:
        environ["HTTP_X_FORWARDED_PROTO"] = proto
    [body] = TrustedProxies(Echo(), networks, 100)(environ, lambda status, headers: None)
    return tuple(body.decode().split(" "))


def test_a_trusted_proxy_is_believed():
    assert seen(PROXY, CLIENT, "https") == (CLIENT, "https")
    assert seen(PROXY, CLIENT) == (CLIENT, "http")
    assert seen("fd00::1", "2001:db8::7", "HTTPS") == ("2001:db8::7", "https")


def test_a_trusted_proxy_is_known_in_the_notation_of_ipv6_too():
    """As a server shows it that listens for both."""
    assert seen(f"::ffff:{PROXY}", CLIENT) == (CLIENT, "http")
    assert seen(PROXY, f"{CLIENT}, ::ffff:{OTHER_PROXY}") == (CLIENT, "http")
    assert seen(f"::ffff:{LIAR}", CLIENT) == (f"::ffff:{LIAR}", "http")
    assert seen("::ffff", CLIENT) == ("::ffff", "http")


def test_everybody_else_is_not():
    assert seen(LIAR, CLIENT, "https") == (LIAR, "http")
    assert seen(CLIENT, "127.0.0.1") == (CLIENT, "http")
    assert seen(PROXY, CLIENT, "https", networks=()) == (PROXY, "http")
    assert seen("", CLIENT) == ("", "http")
    assert seen("unix:", CLIENT) == ("unix:", "http")


def test_the_client_is_the_last_one_who_is_no_proxy_of_ours():
    assert seen(PROXY, f"{CLIENT}, {OTHER_PROXY}") == (CLIENT, "http")
    assert seen(PROXY, f"{LIAR}, {CLIENT}") == (CLIENT, "http")
    assert seen(PROXY, f"{LIAR},{PROXY},{CLIENT} ,  {OTHER_PROXY},{PROXY}") == (CLIENT, "http")
    assert seen(PROXY, f"{OTHER_PROXY}, fd00::1") == (OTHER_PROXY, "http"), "a request of a proxy itself"


def test_what_is_no_address_ends_the_chain():
    assert seen(PROXY, "junk") == (PROXY, "http")
    assert seen(PROXY, "") == (PROXY, "http")
    assert seen(PROXY, " , ,") == (PROXY, "http")
    assert seen(PROXY, f"{LIAR}, unknown, {OTHER_PROXY}") == (OTHER_PROXY, "http")
    assert seen(PROXY, f"junk, {CLIENT}") == (CLIENT, "http")
    assert seen(PROXY, f"{CLIENT}\0") == (PROXY, "http")
    assert seen(PROXY, "1") == (PROXY, "http")
    assert seen(PROXY, ",".join([LIAR] * 10_000)) == (LIAR, "http")


def test_only_the_two_schemes_of_the_web_are_schemes():
    for proto in ("", "junk", "ftp", "https,http", "javascript"):
        assert seen(PROXY, CLIENT, proto) == (CLIENT, "http")


def test_a_body_that_is_too_large_is_refused_before_anybody_reads_it():
    class Unread(BytesIO):
        def read(self, *args):
            raise AssertionError("nobody should have read this")

    def status(length):
        environ = {"REMOTE_ADDR": CLIENT, "wsgi.url_scheme": "http", "CONTENT_LENGTH": length, "wsgi.input": Unread()}
        told = []
        list(TrustedProxies(Echo(), (), 100)(environ, lambda status, headers: told.append((status, dict(headers)))))
        [(status, headers)] = told
        assert (headers.get("Connection") == "close") == status.startswith("413")
        return status[:3]

    assert [status(length) for length in ("", "0", "100", "junk", "-1")] == ["200"] * 5
    assert [status(length) for length in ("101", "9" * 30)] == ["413"] * 2


@pytest.fixture
def proxied(settings, runtime, organization):
    application = create_app(replace(settings, trusted_proxies=NETWORKS))
    yield TestApp(application)
    application.registry.poll_reader.close()
    application.registry.runtime.close()


def test_routers_behind_a_proxy_have_their_own_addresses(proxied, app, admin, organization):
    """Otherwise all of them would have the address of nginx."""
    devices = [admin.make_device(organization, f"router-{last}", f"00:11:22:33:44:0{last}") for last in (1, 2)]
    for application, shown in ((proxied, ["81.2.69.1", "81.2.69.2"]), (app, [PROXY, PROXY])):
        for device in reversed(devices):
            headers = {"X-Forwarded-For": f"{LIAR}, 81.2.69.{device['name'][-1]}"}
            url = f"/controller/checksum/{device['id']}/"
            for _ in range(2):
                application.get(url, {"key": device["key"]}, headers=headers, extra_environ={"REMOTE_ADDR": PROXY})
        assert [admin.get(f"device/{device['id']}/")["last_ip"] for device in devices] == shown
    form = {"secret": "secret", "name": "new", "mac_address": "00:11:22:33:44:03", "backend": "netjsonconfig.OpenWrt"}
    headers = {"X-Forwarded-For": CLIENT}
    proxied.post("/controller/register/", form, headers=headers, extra_environ={"REMOTE_ADDR": PROXY}, status=201)
    [device] = admin.get("device/", name="new")["results"]
    assert device["last_ip"] == CLIENT


def test_links_have_the_scheme_and_host_that_the_client_used(proxied, admin, organization):
    for number in range(11):
        admin.make_template(organization, f"template-{number}")
    headers = {"Authorization": f"Bearer {admin.token}", "X-Forwarded-Proto": "https", "Host": "controller.example"}
    response = proxied.get("/api/v1/controller/template/", headers=headers, extra_environ={"REMOTE_ADDR": PROXY})
    assert response.json["next"].startswith("https://controller.example/api/v1/controller/template/?page=2")
