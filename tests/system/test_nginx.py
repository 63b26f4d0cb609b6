"""Behind nginx, configured as docs/deployment.md says: who asked, over which scheme, and bodies that are too large."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from processes import FIXTURE, PATIENCE, ROOT, SECRET, TOKEN, eventually, free_port

pytestmark = pytest.mark.system


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def guywire_port(folder: Path) -> Iterator[int]:
    """A server that trusts nginx on this host, as production.ini does."""
    port = free_port()
    ini = folder / "production.ini"
    production = (ROOT / "production.ini").read_text()
    for key, value in {
        "sqlalchemy.url": f"sqlite:///{folder}/guywire.sqlite",
        "guywire.data_dir": str(folder),
        "guywire.http_port": str(port),
    }.items():
        production = re.sub(f"^{re.escape(key)} = .*$", f"{key} = {value}", production, flags=re.MULTILINE)
    ini.write_text(production)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GUYWIRE_")}
    command = [sys.executable, "-m", "guywire.cli"]
    for arguments in (["keys", "create", ini], ["migrate", ini], ["bootstrap", ini, FIXTURE]):
        subprocess.run([*command, *arguments], env=environ, check=True, stdout=subprocess.DEVNULL)
    log = folder / "guywire.log"
    with log.open("wb") as stream:
        server = subprocess.Popen([*command, "serve", ini], env=environ, stdout=stream, stderr=stream)
    eventually(lambda: listens(port), "somebody listens")
    yield port
    server.terminate()
    assert server.wait(PATIENCE) == 0


def write_certificate(folder: Path, host: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{host}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{host}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture(scope="module")
def nginx_port(folder: Path, guywire_port: int) -> Iterator[int]:
    """nginx with the documented site, on other ports and with a certificate of its own."""
    port = free_port()
    [site] = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/deployment.md").read_text(), re.DOTALL)
    write_certificate(folder, "controller.example.org")
    for before, after in {
        "127.0.0.1:6543": f"127.0.0.1:{guywire_port}",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "listen [::]:443 ssl;": "",
        "/etc/ssl/": f"{folder}/",
    }.items():
        assert before in site
        site = site.replace(before, after)
    configuration = folder / "nginx.conf"
    log = folder / "nginx.log"
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration.write_text(
        f"daemon off; pid {folder}/nginx.pid; user root; error_log {log};"
        f"events {{}} http {{ access_log off; {places} {site} }}"
    )
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx, "tests/system/install-packages installs it"
    process = subprocess.Popen([nginx, "-c", str(configuration), "-e", str(log)])
    eventually(lambda: listens(port), "somebody listens")
    yield port
    process.send_signal(signal.SIGQUIT)
    process.wait(PATIENCE)


def ask(port: int, method: str, path: str, source: str = "127.0.0.1", **options: object) -> requests.Response:
    """A request to nginx, from another address of this host."""
    session = requests.Session()
    session.mount("https://", SourceAdapter(source))
    headers = {"Host": "controller.example.org", **options.pop("headers", {})}  # type: ignore[dict-item]
    with session:
        return session.request(
            method, f"https://127.0.0.1:{port}{path}", headers=headers, timeout=30, verify=False, **options
        )


class SourceAdapter(requests.adapters.HTTPAdapter):
    """Connects from a given address, to a host whose certificate nobody vouches for."""

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__()

    def init_poolmanager(self, *arguments: object, **options: object) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().init_poolmanager(*arguments, source_address=(self.source, 0), ssl_context=context, **options)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_routers_keep_their_addresses(nginx_port: int, guywire_port: int) -> None:
    registration = {
        "secret": SECRET,
        "name": "router",
        "mac_address": "00:11:22:33:44:55",
        "backend": "netjsonconfig.OpenWrt",
    }
    registered = ask(nginx_port, "POST", "/controller/register/", "127.0.0.7", data=registration)
    assert registered.status_code == 201, registered.text
    assert registered.headers["X-Openwisp-Controller"] == "true"
    facts = dict(line.split(": ") for line in registered.text.splitlines()[1:])
    device_id = uuid.UUID(facts["uuid"])
    authorization = {"Authorization": f"Bearer {TOKEN}"}

    def last_ip() -> str:
        detail = ask(nginx_port, "GET", f"/api/v1/controller/device/{device_id}/", headers=authorization)
        assert detail.status_code == 200, detail.text
        return str(detail.json()["last_ip"])

    assert last_ip() == "127.0.0.7"
    poll = f"/controller/checksum/{device_id}/?key={facts['key']}"
    assert ask(nginx_port, "GET", poll, "127.0.0.8").status_code == 200
    assert last_ip() == "127.0.0.8"
    # What a stranger claims before nginx adds what it saw.
    claimed = {"X-Forwarded-For": "203.0.113.1"}
    assert ask(nginx_port, "GET", poll, "127.0.0.9", headers=claimed).status_code == 200
    assert last_ip() == "127.0.0.9"


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_links_are_those_of_the_outside(nginx_port: int) -> None:
    authorization = {"Authorization": f"Bearer {TOKEN}"}
    for number in range(2):
        created = ask(
            nginx_port,
            "POST",
            "/api/v1/controller/template/",
            headers=authorization,
            json={"name": f"t{number}", "backend": "netjsonconfig.OpenWrt", "config": {"general": {"timezone": "UTC"}}},
        )
        assert created.status_code == 201, created.text
    page = ask(nginx_port, "GET", "/api/v1/controller/template/?page_size=1", headers=authorization).json()
    assert page["next"].startswith("https://controller.example.org/api/v1/controller/template/?")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_body_that_is_too_large_is_refused(nginx_port: int) -> None:
    body = b"x" * (10 * 1024 * 1024 + 1)
    assert ask(nginx_port, "POST", "/controller/register/", data=body).status_code == 413
