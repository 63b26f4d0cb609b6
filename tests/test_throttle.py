"""Stories of guessing: wrong passwords and wrong tokens are slowed down, right ones are not."""

from dataclasses import replace

import pytest
from guywire.app import create_app
from guywire.db import writing
from guywire.errors import Throttled
from guywire.models import FailedLogins
from guywire.services import throttle
from guywire.services.accounts import create_user
from guywire.settings import Rate, SettingInvalid, Settings
from webtest import TestApp

TOKEN = "/api/v1/users/token/"
PASSWORD = "correct horse"
DEVICES = "/api/v1/controller/device/"


@pytest.fixture
def ada(runtime):
    with writing(runtime.session_factory) as session:
        create_user(session, runtime.clock(), username="ada", password=PASSWORD, email="ada@example.org")


@pytest.fixture
def quick(monkeypatch):
    """Passwords that are verified at once: these stories are about how often, not about how."""
    monkeypatch.setattr("guywire.services.accounts.verify_password", lambda password, stored: password == PASSWORD)
    monkeypatch.setattr("guywire.services.accounts.pretend_to_verify", lambda password: None)


def log_in(app, password="wrong", username="ada", address="10.0.0.1", status=400):
    body = {"username": username, "password": password}
    return app.post_json(TOKEN, body, status=status, extra_environ={"REMOTE_ADDR": address})


def ask(app, token, address="10.0.0.1", status=401):
    headers = {"Authorization": f"Bearer {token}"}
    return app.get(DEVICES, headers=headers, status=status, extra_environ={"REMOTE_ADDR": address})


def test_ten_wrong_passwords_a_minute_then_nobody_gets_in_from_there_until_the_minute_is_over(
    app, make_app, ada, quick, clock
):
    other_process = TestApp(make_app())
    log_in(app, PASSWORD, status=200)
    for attempt in range(10):
        log_in((app, other_process)[attempt % 2])
        clock.advance(1)
    for process in (app, other_process):
        answer = log_in(process, PASSWORD, status=429)
        assert answer.json == {"detail": "Request was throttled. Expected available in 50 seconds."}
        assert answer.headers["Retry-After"] == "50"
        log_in(process, PASSWORD, " ADA", status=429)
    log_in(app, PASSWORD, address="10.0.0.2", status=200)
    log_in(app, username="grace")
    clock.advance(50)
    log_in(app, PASSWORD, status=200)
    log_in(app)


def test_successes_are_not_counted(app, ada, quick):
    for _ in range(15):
        log_in(app, PASSWORD, status=200)
    log_in(app)


def test_an_address_that_tries_one_password_with_many_accounts_is_slowed_down_too(app, ada, quick, runtime):
    for number in range(100):
        log_in(app, username=f"user{number}")
    log_in(app, PASSWORD, status=429)
    log_in(app, PASSWORD, address="10.0.0.2", status=200)
    with runtime.session_factory() as session:
        assert session.query(FailedLogins).count() == 101


def test_a_subscriber_of_ipv6_is_one_client(app, ada, quick):
    for number in range(10):
        log_in(app, address=f"2001:db8:0:1::{number:x}")
    log_in(app, address="2001:db8:0:1:ffff::1", status=429)
    log_in(app, address="2001:db8:0:2::1")
    log_in(app, address="::ffff:10.0.0.9")


def test_what_is_over_is_forgotten(runtime, clock):
    throttle.record_failure(runtime, "ada", "10.0.0.1", clock())
    clock.advance(60)
    throttle.record_failure(runtime, "grace", "10.0.0.2", clock())
    with runtime.session_factory() as session:
        assert session.query(FailedLogins).count() == 2


def test_wrong_tokens_are_slowed_down_but_the_right_one_always_serves(app, admin, clock):
    for _ in range(10):
        assert ask(app, "wrong").json == {"detail": "Invalid token."}
    answer = ask(app, "another", status=429)
    assert answer.json == {"detail": "Request was throttled. Expected available in 60 seconds."}
    assert answer.headers["Retry-After"] == "60"
    ask(app, admin.token, status=200)
    ask(app, "wrong", "10.0.0.2")
    clock.advance(60)
    ask(app, "wrong")


def test_memory_for_wrong_tokens_is_limited(clock, monkeypatch):
    monkeypatch.setattr(throttle, "_TOO_MANY", 3)
    failed = throttle.FailedTokens(Rate(1, 60))
    for number in range(20):
        failed.record(f"10.0.0.{number}", clock())
    with pytest.raises(Throttled):
        failed.record("10.0.0.19", clock())
    clock.advance(60)
    failed.record("10.0.0.19", clock())


def test_the_throttle_can_be_turned_off(settings, quick):
    made = create_app(replace(settings, login_rate=None))
    app = TestApp(made)
    for _ in range(12):
        log_in(app)
        ask(app, "wrong")
    made.registry.poll_reader.close()
    made.registry.runtime.close()


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/minute", Rate(10, 60)),
        ("5", Rate(5, 60)),
        ("3/s", Rate(3, 1)),
        ("100 / hours", Rate(100, 3600)),
        ("0", None),
        ("0/minute", None),
        ("off", None),
    ],
)
def test_the_rate_is_a_setting(text, rate):
    assert Settings.from_mapping({"guywire.login_rate": text}, {}).login_rate == rate


@pytest.mark.parametrize("text", ["often", "10/fortnight", "-1", "10/", "1.5/minute"])
def test_a_rate_that_is_none_is_refused(text):
    with pytest.raises(SettingInvalid, match="login_rate"):
        Settings.from_mapping({"guywire.login_rate": text}, {})


def test_the_login_page_counts_too(app, ada, quick):
    form = app.get("/accounts/login/").forms[0]
    form["username"], form["password"] = "ada", "wrong"
    for _ in range(10):
        form.submit(status=400)
    form["password"] = PASSWORD
    page = form.submit(status=429)
    assert page.headers["Retry-After"] == "60"
    assert "try again in 60 seconds" in page.text
