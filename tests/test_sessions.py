"""Logging in with a browser: the session, its cookie, and the protection against other sites' forms."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from guywire.db import writing
from guywire.models import LoginSession, User
from guywire.runtime import Runtime
from guywire.services import sessions
from guywire.services.accounts import create_user
from guywire.settings import Settings
from guywire.testing import ManualClock
from sqlalchemy import select
from webtest import TestApp

TEMPLATES = "/api/v1/controller/template/"
NEW = {"name": "t", "backend": "netjsonconfig.OpenWrt", "config": {"interfaces": [{"name": "lan", "type": "ethernet"}]}}


@pytest.fixture
def changes() -> dict[str, Any]:
    """What is different in the application's settings."""
    return {}


@pytest.fixture
def settings(settings: Settings, changes: dict[str, Any]) -> Settings:
    return replace(settings, **changes)


@pytest.fixture
def user(runtime: Runtime) -> str:
    with writing(runtime.session_factory) as session:
        create_user(
            session, runtime.clock(), username="ada", password="correct horse", is_superuser=True, email="a@b.io"
        )
    return "ada"


def log_in(
    app: TestApp, username: str = "ada", password: str = "correct horse", query: str = "", **options: Any
) -> Any:
    form = app.get(f"/accounts/login/{query}").form
    form["username"], form["password"] = username, password
    return form.submit(**options)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def stored(runtime: Runtime) -> list[LoginSession]:
    with runtime.session_factory() as session:
        return list(session.scalars(select(LoginSession)))


def test_a_browser_logs_in_works_and_logs_out(app: TestApp, user: str, runtime: Runtime, clock: ManualClock) -> None:
    assert app.get("/", status=303).location.endswith("/accounts/login/")
    answer = log_in(app, query="?next=/api/v1/controller/device/%3Fpage_size%3D5", status=303)
    assert urlsplit(answer.location).path == "/api/v1/controller/device/"
    [cookie] = [each for each in answer.headers.getall("Set-Cookie") if each.startswith("sessionid=")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "secure" not in cookie.lower()
    # What is stored does not let anybody in.
    assert app.cookies["sessionid"] not in stored(runtime)[0].key_hash
    app.get(TEMPLATES, status=200)
    # The same for writing, with the cookie's double in the header.
    app.post_json(TEMPLATES, NEW, headers={"X-CSRFToken": app.cookies["csrftoken"]}, status=201)
    with runtime.session_factory() as session:
        assert session.scalars(select(User.last_login)).one() == clock()
    app.get("/").forms[0].submit(status=303)
    assert not stored(runtime)
    app.get(TEMPLATES, status=401)


def test_wrong_passwords_and_other_peoples_pages_do_not_log_in(app: TestApp, user: str, runtime: Runtime) -> None:
    assert "do not go together" in log_in(app, password="wrong", status=400)
    assert "do not go together" in log_in(app, username="a\0", status=400)
    app.post("/accounts/login/", {"username": "ada", "password": "correct horse"}, status=403)
    app.post("/accounts/login/", "{", headers={"Content-Type": "application/json"}, status=400)
    form = app.get("/accounts/login/").form
    form["username"], form["password"] = "ada", "correct horse"
    form.submit(headers={"Origin": "https://evil.example"}, status=403)
    assert not stored(runtime)
    # The e-mail address and the address that the reference has will do.
    form = app.get("/admin/login/").form
    form["username"], form["password"] = "A@b.io", "correct horse"
    form.submit(status=303)


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example", "/\t/evil.example"]
)
def test_the_login_page_leads_nowhere_else(app: TestApp, user: str, elsewhere: str) -> None:
    form = app.get("/accounts/login/", {"next": elsewhere}).form
    form["username"], form["password"] = "ada", "correct horse"
    assert urlsplit(form.submit(status=303).location).path == "/"
    assert urlsplit(app.get("/accounts/login/", {"next": elsewhere}, status=303).location).path == "/"


def test_a_session_writes_only_with_a_token_of_its_own(app: TestApp, user: str, runtime: Runtime) -> None:
    def refused(**options: Any) -> str:
        return app.post_json(TEMPLATES, NEW, status=403, **options).json["detail"]

    strange = app.get("/accounts/login/").form["csrfmiddlewaretoken"].value
    log_in(app)
    token = app.cookies["csrftoken"]
    assert refused() == "CSRF Failed: CSRF token missing."
    # A cookie and its double that somebody planted there are of no use in this session.
    planted = f"sessionid={app.cookies['sessionid']}; csrftoken={strange}"
    assert "incorrect" in refused(headers={"X-CSRFToken": strange, "Cookie": planted})
    assert "Origin" in refused(headers={"X-CSRFToken": token, "Origin": "http://evil.example"})
    https = {"extra_environ": {"wsgi.url_scheme": "https"}}
    assert "no Referer" in refused(headers={"X-CSRFToken": token}, **https)
    assert "Referer" in refused(headers={"X-CSRFToken": token, "Referer": "https://evil.example/"}, **https)
    assert "Referer" in refused(headers={"X-CSRFToken": token, "Referer": "https://[bad"}, **https)
    headers = {"X-CSRFToken": token, "Referer": "https://localhost:80/accounts/"}
    app.post_json(TEMPLATES, NEW, headers=headers, status=201, **https)
    app.reset()
    # No cookie at all, and a method that there is not.
    with writing(runtime.session_factory) as session:
        id = session.scalars(select(User.id)).one()
        key = sessions.start(session, runtime.key_ring, id, runtime.clock(), timedelta(days=1))
    app.set_cookie("sessionid", key)
    assert refused() == "CSRF Failed: CSRF cookie not set."
    assert app.post_json(f"{TEMPLATES}{id}/", {}, status=403).json == {"detail": "CSRF Failed: CSRF cookie not set."}


def test_a_bearer_token_comes_first_and_needs_no_csrf_token(
    app: TestApp, user: str, operator: Any, organization: str
) -> None:
    log_in(app)
    operator.make_template(organization)
    assert operator.get("template/")["count"] == 1
    app.get(TEMPLATES, headers={"Authorization": "Bearer wrong"}, status=401)


def test_sessions_end(app: TestApp, user: str, runtime: Runtime, clock: ManualClock) -> None:
    log_in(app)
    clock.advance(runtime.settings.session_lifetime - 1)
    app.get(TEMPLATES, status=200)
    clock.advance(1)
    app.get(TEMPLATES, status=401)
    log_in(app)
    assert len(stored(runtime)) == 1, "the one that had ended is gone"
    with writing(runtime.session_factory) as session:
        session.scalars(select(User)).one().is_active = False
    app.get(TEMPLATES, status=401)
    with writing(runtime.session_factory) as session:
        made = session.scalars(select(User)).one()
        made.is_active = True
        sessions.end_all_of(session, made.id)
    app.get(TEMPLATES, status=401)


@pytest.mark.parametrize("changes", [{"staff_password_expiration_days": 10}])
def test_an_expired_password_is_good_only_for_a_new_one(
    app: TestApp, user: str, runtime: Runtime, clock: ManualClock
) -> None:
    credentials = {"username": user, "password": "correct horse"}
    token = app.post_json("/api/v1/users/token/", credentials).json["token"]
    key = app.post_json("/api/v1/users/apikey/", {"name": "x"}, headers=bearer(token), status=201).json["key"]
    with writing(runtime.session_factory) as session:
        create_user(session, runtime.clock(), username="bob", password="correct horse")
    others = app.post_json("/api/v1/users/token/", credentials | {"username": "bob"}).json["token"]
    clock.advance(10 * 24 * 3600)
    app.get(TEMPLATES, headers=bearer(token), status=200)
    log_in(app, status=303)
    clock.advance(24 * 3600)
    for headers in (bearer(token), {}):  # without: by the session
        for path in (TEMPLATES, "/api/v1/users/user/", "/api/v1/docs.json"):
            answer = app.get(path, headers=headers, status=403)
            assert answer.json == {
                "detail": "Your password has expired. Update it to continue.",
                "code": "password_expired",
                "web_password_change_url": "http://localhost/accounts/password/change/",
                "api_password_change_url": "http://localhost/api/v1/users/user/password/change/",
                "api_password_reset_url": "http://localhost/api/v1/users/password/reset/",
            }
    app.post_json(TEMPLATES, NEW, headers=bearer(token), status=403)
    assert app.post_json("/api/v1/users/token/", credentials, headers=bearer(token), status=200).json["token"] == token
    app.get(TEMPLATES, headers=bearer(key), status=200)
    app.get("/api/v1/users/apikey/", headers=bearer(others), status=200)  # no staff
    # Over REST.
    passwords = {"old_password": "correct horse", "new_password1": "battery staple", "new_password2": "battery staple"}
    change = "/api/v1/users/user/password/change/"
    app.post_json(change, passwords, headers={"X-CSRFToken": app.cookies["csrftoken"]}, status=200)
    log_in(app, password="battery staple", status=303)
    app.get(TEMPLATES, status=200)
    # In a browser, from whatever page.
    clock.advance(11 * 24 * 3600)
    browser = {"Accept": "text/html"}
    for path in ("/", TEMPLATES, "/no/such/page", "/api/v1/docs/"):
        assert urlsplit(app.get(path, headers=browser, status=303).location).path == "/accounts/password/change/"
    page = app.get("/accounts/password/change/", headers=browser, status=200)
    assert "Your password has expired." in page.html.main.text
    form = page.forms[1]
    form["old_password"], form["new_password1"], form["new_password2"] = "wrong", "correct horse", "correct horse"
    assert "entered incorrectly" in form.submit(status=400).html.main.text
    app.post("/accounts/password/change/", {**passwords, "old_password": "battery staple"}, status=303)
    form["old_password"] = "battery staple"
    assert urlsplit(form.submit(status=303).location).path == "/"
    app.get(TEMPLATES, status=200)


def test_cookies_are_secure_over_https(app: TestApp, user: str) -> None:
    environ = {"wsgi.url_scheme": "https"}
    form = app.get("/accounts/login/", extra_environ=environ).form
    form["username"], form["password"] = "ada", "correct horse"
    headers = {"Referer": "https://localhost:80/accounts/login/"}
    answer = form.submit(extra_environ=environ, headers=headers, status=303)
    for cookie in answer.headers.getall("Set-Cookie"):
        assert "secure" in cookie.lower()
