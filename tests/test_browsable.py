"""The API in a browser: the same answers as pages, and forms that work without JavaScript."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import pytest
import sqlalchemy as sa
from guywire.browsable.sitemap import sitemap_of
from guywire.db import writing
from guywire.models import Group, Organization, Permission, User, UserPermission
from guywire.runtime import Runtime
from guywire.security import add_member
from guywire.services.accounts import create_user
from guywire.testing import Client
from webtest import TestApp, TestRequest, Upload

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
API = "/api/v1/controller/"
HOSTILE = "<script>alert(1)</script>\"'&"


class Browser:
    """A browser without JavaScript in which somebody has logged in."""

    def __init__(self, app: TestApp) -> None:
        self.app = app

    def log_in(self, runtime: Runtime, username: str, organization: str | None = None, **fields: Any) -> Browser:
        with writing(runtime.session_factory) as session:
            user = create_user(session, runtime.clock(), username=username, password="correct horse", **fields)
            if organization is not None:
                user.groups.append(session.scalars(sa.select(Group).where(Group.name == "Operator")).one())
                add_member(session, user, UUID(organization), is_admin=True)
        form = self.app.get("/accounts/login/").form
        form["username"], form["password"] = username, "correct horse"
        form.submit(status=303)
        return self

    def open(self, path: str, status: Any = 200) -> Any:
        page = self.app.get(path if path.startswith("/") else API + path, headers=BROWSER, status=status)
        assert page.content_type == "text/html"
        return page

    def follow(self, page: Any, text: str, status: int = 200) -> Any:
        [path] = {each["href"] for each in page.html.main.find_all("a") if text in each.text}
        return self.app.get(urljoin(page.request.url, path), headers=BROWSER, status=status)

    @staticmethod
    def form(page: Any, button: str, method: str | None = None) -> Any:
        """The form with this button."""
        for form in page.forms.values():
            if any(each.text.strip() == button for each in form.html.find_all("button")) and (
                method is None or form["_method"].value == method
            ):
                return form
        raise AssertionError(f"no form with a button {button!r}")

    def send(self, page: Any, button: str, status: int, **fields: Any) -> Any:
        form = self.form(page, button)
        for name, value in fields.items():
            form[name.replace("__", ".")] = value
        return form.submit(headers=BROWSER, status=status)


@pytest.fixture
def browser(app: TestApp, runtime: Runtime) -> Browser:
    return Browser(app).log_in(runtime, "ada", is_superuser=True)


@pytest.fixture
def operators_browser(app: TestApp, runtime: Runtime, organization: str) -> Browser:
    return Browser(app).log_in(runtime, "oscar", organization)


def test_what_is_public_has_a_form_for_strangers(app: TestApp, admin: Client, runtime: Runtime) -> None:
    stranger = Browser(app)
    assert "POST" in stranger.app.options("/api/v1/users/token/").json["actions"]
    page = stranger.open("/api/v1/users/token/", status=405)
    refused = stranger.send(page, "Send", 400, username="ada", password="wrong")
    assert "Unable to log in" in refused.html.main.text
    with writing(runtime.session_factory) as session:
        create_user(session, runtime.clock(), username="ada", password="correct horse")
    answered = stranger.send(refused, "Send", 200, password="correct horse")
    assert "token" in answered.html.main.text


@pytest.mark.parametrize(
    ("accept", "query", "status", "kind"),
    [
        (None, "", 200, "application/json"),
        ("*/*", "", 200, "application/json"),
        ("", "", 200, "application/json"),
        ("text/html, application/json", "", 200, "application/json"),
        ("application/json; indent=4", "", 200, "application/json"),
        ("text/html;q=0.5, application/json;q=0.9", "", 200, "application/json"),
        (BROWSER["Accept"], "", 200, "text/html"),
        ("application/json;q=0.5, text/*", "", 200, "text/html"),
        (BROWSER["Accept"], "?format=json", 200, "application/json"),
        ("*/*", "?format=api", 200, "text/html"),
        ("application/json", "?format=api", 406, "application/json"),
        ("text/csv", "", 406, "application/json"),
        (BROWSER["Accept"], "?format=xml", 404, "application/json"),
    ],
)
def test_clients_get_what_they_prefer(admin: Client, accept: str | None, query: str, status: int, kind: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = admin.request("GET", f"template/{query}", status=status, headers=headers)
    assert answer.content_type == kind
    assert {"Accept", "Cookie"} <= set(answer.vary)


def test_pages_have_the_status_and_the_headers_of_the_answer(
    browser: Browser, admin: Client, organization: str
) -> None:
    template = admin.make_template(organization, "lan")
    assert "lan" in browser.open("template/")
    page = browser.open(f"template/{template['id']}/")
    assert "lan · guywire" in page.html.title.text
    assert page.html.find("a", href=f"/api/v1/users/organization/{organization}/")
    for path, status, text in [
        ("template/00000000-0000-0000-0000-000000000000/", 404, "No Template matches the given query."),
        ("nothing/", 404, "Not found."),
        ("template/?page=9", 404, "Invalid page."),
        ("device/?config__status=zz", 400, "Select a valid choice. zz"),
        (f"device/{admin.make_device(organization)['id']}/activate/", 405, "Method"),
    ]:
        page = browser.open(path, status=status)
        assert text in page.html.text, path
        assert page.headers["X-Frame-Options"] == "DENY"
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert not page.html.find_all("script", src=False), "no inline scripts"
    assert page.headers["Allow"] == "OPTIONS, POST"
    browser.app.reset()
    page = browser.open("template/?page=1", status=401)
    assert page.headers["WWW-Authenticate"] == "Bearer"
    assert page.html.find("main").find("a", href="/accounts/login/?next=/api/v1/controller/template/%3Fpage%3D1")
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_what_no_page_can_be_made_of_is_answered_all_the_same(browser: Browser) -> None:
    for path in ("/api/%ff/", f"{API}device/?name=%ff", f"{API}device/?format=%ff"):
        answer = TestRequest.blank(path, headers=BROWSER).get_response(browser.app.app)
        assert (answer.status_code, answer.content_type) == (400, "application/json")
    for body, kind in [("x", "multipart/form-data"), ("_method=PUT&%ff=1", "application/x-www-form-urlencoded")]:
        headers = {**BROWSER, "Content-Type": kind}
        browser.app.post(f"{API}device/", body, headers=headers, status=403)
    # No name in a part, a file where text is meant.
    part = "--b\r\nContent-Disposition: form-data{}\r\n\r\n{}\r\n"
    parts = [("", "x"), ('; name="_method"', "POST"), ('; name="_content"; filename="x"', "{}")]
    token = browser.app.cookies["csrftoken"]
    for rest in ([('; name="csrfmiddlewaretoken"', token)], [('; name="csrfmiddlewaretoken"; filename="t"', token)]):
        body = "".join(part.format(*each) for each in [*parts, *rest]) + "--b--"
        headers = {**BROWSER, "Content-Type": "multipart/form-data; boundary=b"}
        browser.app.post(f"{API}device/", body, headers=headers, status=(400, 403))


def test_errors_outside_the_api_have_a_page(app: TestApp, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Browser(app)
    page = stranger.open("/no/such/<page>", status=404)
    assert "There is nothing at this address." in page.html.main.text
    assert page.html.find("link", rel="stylesheet")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    monkeypatch.setattr("guywire.browsable.login._local", lambda path: 1 / 0)
    page = stranger.open("/accounts/login/", status=500)
    assert "Something went wrong" in page.html.main.text
    assert "ZeroDivisionError" not in page.text
    assert app.get("/no/such/page", status=404).text == "Not Found"  # to routers, for instance


def test_every_list_and_every_object_has_a_page(browser: Browser, admin: Client, organization: str) -> None:
    admin.make_device(organization, templates=[admin.make_template(organization)["id"]])
    admin.post("group/", {"name": "group", "organization": organization, "templates": []})
    lists = sitemap_of(browser.app.app.registry).lists()
    assert len(lists) >= 4
    for service in lists:
        page = browser.open(service.path)
        for link in page.html.select("tbody td:first-child a")[:1]:
            detail = browser.open(link["href"])
            assert detail.html.find(id="form"), "everything can be edited"
            for button in detail.html.select(".head a.button"):
                if button["href"].startswith("/") and "download" not in button.attrs:
                    browser.open(button["href"], status=(200, 404, 405))  # 404: none of it yet


def test_downloads_are_no_pages(browser: Browser, admin: Client, organization: str) -> None:
    device = admin.make_device(organization)
    page = browser.open(f"device/{device['id']}/")
    archive = browser.follow(page, "Configuration")
    assert archive.content_type == "application/octet-stream"
    assert page.html.find("a", string="State")


def test_an_operator_creates_and_changes_by_forms(operators_browser: Browser, admin: Client, organization: str) -> None:
    browser = operators_browser
    page = browser.open("template/")
    page = browser.send(page, "Create", 400, name="", config="{")
    assert "This field may not be blank." in page.html.find(id="field-name-about").text
    assert "Value must be valid JSON." in page.html.find(id="field-config-about").text
    assert page.html.find(id="field-config").text.strip() == "{", "what was typed is still there"
    config = '{"interfaces": [{"name": "lan", "type": "ethernet"}]}'
    page = browser.send(page, "Create", 201, name="first", config=config, required=True)
    assert "It is created." in page
    other = '{"interfaces": [{"name": "wan", "type": "ethernet"}]}'
    browser.send(browser.open("template/"), "Create", 201, name="second", config=other)
    page = browser.follow(page, "Go on")
    assert "first" in page.html.h1.text
    # Boxes that are cleared are sent, too.
    page = browser.send(page, "Save", 200, required=False, notes="for all")
    first, second = sorted(admin.get("template/")["results"], key=lambda each: each["name"])
    assert (first["required"], first["notes"], first["organization"]) == (False, "for all", organization)

    # A device with both templates, the second one first.
    form = browser.form(browser.open("device/"), "Create")
    form["name"], form["mac_address"] = "router", "00:11:22:33:44:55"
    form.set("config.templates", True, index=0)
    form.set("config.templates", True, index=1)
    form[f"_position.config.templates.{first['id']}"] = "2"
    form[f"_position.config.templates.{second['id']}"] = "1"
    page = form.submit(headers=BROWSER, status=201)
    [listed] = admin.get("device/")["results"]
    path = f"device/{listed['id']}/"
    assert admin.get(path)["config"]["templates"] == [second["id"], first["id"]]
    # The other way round, then none.
    form = browser.form(browser.open(path), "Save")
    assert form[f"_position.config.templates.{first['id']}"].value == "2"
    form[f"_position.config.templates.{first['id']}"] = "0.5"
    page = form.submit(headers=BROWSER, status=200)
    assert admin.get(path)["config"]["templates"] == [first["id"], second["id"]]
    form = browser.form(page, "Save")
    form.set("config.templates", False, index=0)
    form.set("config.templates", False, index=1)
    form["config.context"] = '{"x": "1"}'
    page = form.submit(headers=BROWSER, status=200)
    config = admin.get(path)["config"]
    assert (config["templates"], config["context"]) == ([], {"x": "1"})

    # The reason why it cannot be deleted yet, then the way there.
    page = browser.form(page, "Delete router").submit(headers=BROWSER, status=403)
    assert "must be deactivated" in page
    page = browser.form(browser.open(path), "Deactivate").submit(headers=BROWSER, status=200)
    page = browser.form(browser.open(f"template/{first['id']}/"), "Delete first").submit(headers=BROWSER, status=200)
    assert "It is deleted." in page
    assert admin.get("template/")["count"] == 1


def test_a_device_may_be_made_without_configuration(browser: Browser, admin: Client, organization: str) -> None:
    form = browser.form(browser.open("device/"), "Create")
    form["name"], form["mac_address"] = "bare", "00:11:22:33:44:55"
    form["_include"] = False
    form.submit(headers=BROWSER, status=201)
    [device] = admin.get("device/")["results"]
    assert device["config"] is None
    # Changing its name does not give it one.
    browser.send(browser.open(f"device/{device['id']}/"), "Save", 200, name="renamed")
    assert admin.get(f"device/{device['id']}/")["config"] is None


def test_pages_lead_to_all_that_there_is_of_an_object(browser: Browser, admin: Client, organization: str) -> None:
    # Under whatever path that is, and whatever it calls the id.
    page = browser.follow(browser.open(f"/api/v1/users/organization/{organization}/"), "Settings")
    crumbs = [each.text for each in page.html.find("nav", class_="crumbs").find_all("li")]
    assert crumbs == ["Start", "Organizations", "Organization", "Settings"]
    page = browser.open("/api/v1/users/user/")
    page = browser.send(page, "Create", 201, username="eve", email="eve@example.org", password="correct horse")
    user = browser.follow(page, "Go on")
    assert "eve@example.org" in browser.follow(user, "E-mail addresses").html.table.text
    page = browser.follow(user, "Password", 405)
    new = "battery staple"
    browser.send(page, "Send", 200, new_password=new, confirm_password=new)
    # What the newest object lacks still has a column.
    admin.make_device(organization, "with")
    bare = {"name": "without", "organization": organization, "mac_address": "00:00:00:00:00:09"}
    admin.post("device/", bare)
    assert "Status" in [each.text for each in browser.open("device/").html.find_all("th")]


def test_whatever_can_be_done_has_a_form(browser: Browser, admin: Client, organization: str) -> None:
    template = admin.make_template(organization, "lan")
    page = browser.follow(browser.open(f"template/{template['id']}/"), "Clone", 405)
    assert not page.html.find(role="alert"), "that it cannot be read is no mistake of the user's"
    # What is left empty is left out.
    page = browser.form(page, "Send").submit(headers=BROWSER, status=201)
    assert "lan (Clone)" in page.html.find("pre").text
    page = browser.follow(browser.open(f"template/{template['id']}/"), "Tags")
    page = browser.send(page, "Save", 200, tags="mesh core")
    assert admin.get(f"template/{template['id']}/")["tags"] == ["core", "mesh"]

    device = admin.make_device(organization)
    path = f"device/{device['id']}/"
    page = browser.open(path)
    assert not page.html.find("button", string="Activate"), "it is active"
    browser.form(page, "Deactivate").submit(headers=BROWSER, status=200)
    page = browser.open(f"{path}activate/", status=405)
    page = browser.form(page, "Activate").submit(headers=BROWSER, status=200)
    assert browser.follow(page, "Go on").html.h1.text.startswith("router")

    # Files, too.
    page = browser.open("device/?name=rou")
    exported = browser.follow(page, "Export").body
    assert b"router" in exported
    form = browser.form(browser.follow(page, "Import", 405), "Send")
    page = form.submit(headers=BROWSER, status=400)
    assert "This field is required." in page.html.find(id="field-file-about").text
    form = browser.form(page, "Send")
    form["file"] = Upload("devices.csv", b"nonsense")
    form["_query.dry_run"] = True
    assert "dry_run=true" in form.submit(headers=BROWSER, status=400).html.find(id="answer").text
    form["_query.dry_run"] = False
    form["file"] = Upload("devices.csv", exported.replace(b"router", b"renamed"))
    assert '"updated": 1' in form.submit(headers=BROWSER, status=200).html.find("pre").text
    assert admin.get(path)["name"] == "renamed"


def test_the_raw_editor_sends_what_is_in_it(browser: Browser, admin: Client, organization: str) -> None:
    template = admin.make_template(organization, "lan")
    path = f"template/{template['id']}/"
    form = browser.form(browser.open(path), "PUT")
    form["_content"] = form["_content"].value.replace('"lan"', '"wan"')
    assert "It is done." in form.submit("_method", value="PUT", headers=BROWSER, status=200)
    assert admin.get(path)["name"] == "wan"
    form["_content"] = '{"notes": '
    page = form.submit("_method", value="PATCH", headers=BROWSER, status=400)
    assert "JSON parse error" in page.html.find(role="alert").text
    assert page.html.find(id="raw").text.strip() == '{"notes":'
    page = browser.form(browser.open(path), "OPTIONS").submit(headers=BROWSER, status=200)
    assert "application/x-www-form-urlencoded" in page.html.find("pre").text
    # What can be done with an object is said on its own page.
    path = f"device/{admin.make_device(organization)['id']}/"
    assert "Activate" not in browser.form(browser.open(path), "OPTIONS").submit(headers=BROWSER, status=200)


def test_methods_are_replaced_only_for_forms_of_our_own(
    app: TestApp, browser: Browser, admin: Client, organization: str
) -> None:
    path = API + f"template/{admin.make_template(organization)['id']}/"
    app.post(path, {"_method": "DELETE"}, headers=BROWSER, status=403)
    app.post(path, {"_method": "DELETE", "csrfmiddlewaretoken": "0" * 64}, headers=BROWSER, status=403)
    app.post(path, {"_method": "TRACE", "csrfmiddlewaretoken": app.cookies["csrftoken"]}, headers=BROWSER, status=405)
    # Nobody who sends a token fills in forms.
    app.post(path, {"_method": "DELETE"}, headers={"Authorization": f"Bearer {admin.token}"}, status=405)
    app.reset()
    app.post(path, {"_method": "DELETE"}, headers=BROWSER, status=401)
    admin.get(path)


def test_nothing_that_somebody_stored_becomes_markup(
    browser: Browser, admin: Client, runtime: Runtime, organization: str
) -> None:
    with writing(runtime.session_factory) as session:
        session.get_one(Organization, UUID(organization)).name = HOSTILE
    template = admin.make_template(
        organization,
        HOSTILE,
        config={"files": [{"path": "/x", "mode": "0644", "contents": "</pre><script>"}]},
        notes="</textarea><script>",
    )
    device = admin.make_device(organization, "router", templates=[template["id"]])
    admin.patch(f"device/{device['id']}/", {"model": HOSTILE, "notes": "javascript:alert(1)"})
    for path in (
        "template/",
        f"template/{template['id']}/",
        "device/",
        f"device/{device['id']}/",
        "/",
        "template/?name=</script><script>alert(1)</script>&page_size=1",
    ):
        page = browser.open(path)
        assert [each.get("src", "").startswith("/static/") for each in page.html.find_all("script")] == [True, True]
        assert not page.html.find("a", href=lambda href: href and href.startswith("javascript:"))
    assert HOSTILE in page.html.text or path.startswith("template/?")
    page = browser.open(f"template/{template['id']}/")
    assert HOSTILE in page.html.h1.text
    assert page.html.find(id="field-notes").text.strip() == "</textarea><script>"
    browser.app.get("/accounts/login/", {"next": f"/{HOSTILE}"}, status=303)


def test_pages_offer_only_what_the_user_may_do(
    operators_browser: Browser, admin: Client, runtime: Runtime, organization: str, other_organization: str
) -> None:
    browser = operators_browser
    own, foreign = admin.make_template(organization, "own-one"), admin.make_template(other_organization, "strange-one")
    shared = admin.make_template(None, "shared-one")
    admin.make_device(other_organization, "strange-device")
    page = browser.open("device/")
    offered = [each["value"] for each in page.html.find_all("input", {"name": "config.templates"})]
    assert sorted(offered) == sorted([own["id"], shared["id"]])
    organizations = {each["value"] for each in page.html.find("select", {"name": "organization"}).find_all("option")}
    assert organizations - {""} == {organization}
    for path in ("device/", "template/", "/"):
        assert "strange" not in browser.open(path).text
        assert other_organization not in browser.open(path).text
    browser.open(f"template/{foreign['id']}/", status=404)
    # Shared objects are changed by superusers, and read by those who have the permission.
    browser.open(f"template/{shared['id']}/", status=403)
    with writing(runtime.session_factory) as session:
        user = session.scalars(sa.select(User).where(User.username == "oscar")).one()
        permission = session.scalars(sa.select(Permission).where(Permission.codename == "view_template")).one()
        session.add(UserPermission(user_id=user.id, permission_id=permission.id))
    page = browser.open(f"template/{shared['id']}/")
    assert not page.html.find(id="form")
    assert not page.html.find("button", string="Delete shared-one")
    newcomer = Browser(TestApp(browser.app.app)).log_in(runtime, "newcomer")
    assert "You see no devices" in newcomer.open("/")
    # Operators look at organizations but do not make them.
    page = browser.open("/api/v1/users/organization/")
    assert not page.html.find(id="form")
    assert not page.html.find("button", string="Create")


def test_one_page_leads_to_the_next(browser: Browser, admin: Client, organization: str) -> None:
    for number in range(5):
        admin.make_template(organization, f"t{number}")
    page = browser.open("template/?page_size=2")
    ids = [each["id"] for each in page.html.find_all(id=True)]
    assert len(ids) == len(set(ids)), "labels belong to one field each"
    assert "1–2 of 5" in page
    page = browser.follow(page, "Next")
    page = browser.follow(page, "Next")
    assert "5–5 of 5" in page
    assert "Next" not in page.html.find("nav", class_="pager").text
    form = browser.form(browser.open("template/"), "Filter")
    form["organization_slug"] = "nobody"
    assert "Nothing found." in form.submit(headers=BROWSER, status=200)


def test_the_start_page_tells_how_the_fleet_is_doing(
    operators_browser: Browser, admin: Client, router: Any, organization: str, other_organization: str
) -> None:
    router(admin.make_device(organization, "good", "00:00:00:00:00:01")).apply()
    bad = router(admin.make_device(organization, "bad", "00:00:00:00:00:02"))
    bad.download()
    bad.report("error")
    admin.make_device(organization, "new", "00:00:00:00:00:03")
    admin.make_device(other_organization, "foreign", "00:00:00:00:00:04")
    page = operators_browser.open("/")
    numbers = [each.text.split() for each in page.html.find("ul", class_="numbers").find_all("li")]
    assert numbers == [
        ["3", "devices"],
        ["1", "applied"],
        ["1", "modified"],
        ["1", "error"],
        ["0", "deactivating"],
        ["0", "deactivated"],
    ]
    assert [each.a.text for each in page.html.find("ol", class_="changes").find_all("li")][:1] != ["foreign"]
    titles = [each.h3.text for each in page.html.find("ul", class_="resources").find_all("li")]
    assert {"Devices", "Templates", "Organizations"} <= set(titles)
    page = operators_browser.follow(page, "error")
    assert [each.text for each in page.html.find("tbody").find_all("td")][:1] == ["bad"]


def test_static_files_may_be_kept_for_ever(app: TestApp) -> None:
    page = app.get("/accounts/login/")
    for path in (page.html.find("link", rel="stylesheet")["href"], page.html.script["src"]):
        answer = app.get(path)
        assert answer.cache_control.max_age == 365 * 24 * 3600
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
