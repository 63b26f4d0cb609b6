"""Stories of mail: handed in over SMTP as a setting says, or written to the log."""

import smtplib
from dataclasses import replace

import pytest
from guywire.services.mail import deliver
from guywire.settings import SettingInvalid, Settings


class Server:
    """A mail server that remembers what it was told."""

    starts_tls = True

    def __init__(self, host, port, timeout, context=None):
        self.told = [(host, port)]
        servers.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.told.append("quit")

    def ehlo(self):
        self.told.append("ehlo")

    def has_extn(self, name):
        return self.starts_tls and name == "starttls"

    def starttls(self, context):
        assert context.check_hostname
        self.told.append("starttls")

    def login(self, user, password):
        self.told.append((user, password))

    def send_message(self, message):
        self.told.append({name: message[name] for name in ("From", "To", "Subject")} | {"": message.get_content()})


servers: list[Server] = []
MAIL = {"From": "gw@example.org", "To": "ada@example.org", "Subject": "Hällo", "": "Text äöü\n"}


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setattr(smtplib, "SMTP", Server)
    monkeypatch.setattr(smtplib, "SMTP_SSL", Server)
    servers.clear()
    return Settings(mail_from="gw@example.org")


@pytest.mark.parametrize(
    ("url", "starts_tls", "told"),
    [
        ("smtp://mail.example.org", True, [("mail.example.org", 25), "ehlo", "starttls", "ehlo", MAIL]),
        ("smtp://mail.example.org:587", False, [("mail.example.org", 587), "ehlo", MAIL]),
        (
            "smtps://me%40here:p%3Aw@localhost",
            True,
            [("localhost", 465), "ehlo", ("me@here", "p:w"), MAIL],
        ),
    ],
)
def test_a_mail_is_handed_in_where_the_setting_says(settings, monkeypatch, caplog, url, starts_tls, told):
    monkeypatch.setattr(Server, "starts_tls", starts_tls)
    deliver(replace(settings, smtp_url=url), "ada@example.org", "Hällo", "Text äöü\n")
    [server] = servers
    assert server.told == [*told, "quit"]
    assert "Text" not in caplog.text


def test_a_password_never_travels_in_the_clear(settings, monkeypatch):
    monkeypatch.setattr(Server, "starts_tls", False)
    with pytest.raises(smtplib.SMTPException, match="TLS"):
        deliver(replace(settings, smtp_url="smtp://me:pw@mail.example.org"), "ada@example.org", "x", "x")
    assert "pw" not in str(servers[0].told)


def test_without_a_server_the_mail_goes_to_the_log(settings, caplog):
    caplog.set_level("INFO")
    deliver(settings, "ada@example.org", "Hello", "The text")
    assert "ada@example.org" in caplog.text
    assert "The text" in caplog.text
    assert servers == []


def test_a_setting_that_is_no_mail_server_is_refused():
    for url in ("mail.example.org", "http://mail.example.org", "smtp://", "smtp://host:port"):
        with pytest.raises(SettingInvalid, match=r"guywire\.smtp_url"):
            Settings.from_mapping({"guywire.smtp_url": url}, {})
    assert Settings.from_mapping({"guywire.smtp_url": ""}, {}).smtp_url == ""
