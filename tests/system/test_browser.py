"""The pages in a real browser: from the login to a device with a template, in light and dark, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from processes import ROOT, TOKEN, eventually, installed

pytestmark = pytest.mark.system
expect.set_options(timeout=30_000)

SCREENSHOTS = ROOT / "var/screenshots"
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "tester-Pass1"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TEMPLATES, DEVICES = "/api/v1/controller/template/", "/api/v1/controller/device/"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the fixture's users."""
    instance = installed(tmp_path_factory.mktemp("instance"))
    with instance.serve():
        eventually(instance.answers, "the first answer")
        yield f"http://127.0.0.1:{instance.port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=OPTIONS)
        yield chromium
        chromium.close()


def log_in(page: Page, username: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="The fleet")).to_be_visible()


def make_template(page: Page, name: str, interface: str) -> None:
    page.goto(TEMPLATES)
    form = page.locator("#form")
    form.get_by_label("Name").fill(name)
    form.get_by_label("Config").fill(f'{{"interfaces": [{{"name": "{interface}", "type": "ethernet"}}]}}')
    form.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_contain_text("It is created.")


def names_in_order(page: Page) -> list[str]:
    labels = page.locator(".choices li:has(:checked) label")
    return [re.sub(r" \(.*", "", text) for text in labels.all_inner_texts()]


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_an_operator_makes_a_template_and_a_device(browser: Browser, address: str, scripts: bool) -> None:
    context = browser.new_context(base_url=address, java_script_enabled=scripts)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    log_in(page, "operator")
    suffix = "a" if scripts else "b"
    make_template(page, f"lan-{suffix}", "lan")
    make_template(page, f"wan-{suffix}", "wan")

    page.goto(DEVICES)
    form = page.locator("#form")
    form.get_by_label("Name").fill(f"router-{suffix}")
    form.get_by_label("MAC address").fill(f"00:11:22:33:44:0{suffix}")
    form.get_by_label(f"lan-{suffix} (org1)", exact=True).check()
    form.get_by_label(f"wan-{suffix} (org1)", exact=True).check()
    if scripts:
        assert names_in_order(page) == [f"lan-{suffix}", f"wan-{suffix}"]
        form.get_by_role("button", name=f"Move up: wan-{suffix}").click()
    else:
        form.get_by_label(f"Position of wan-{suffix}").fill("1")
        form.get_by_label(f"Position of lan-{suffix}").fill("2")
    form.get_by_role("button", name="Create").click()
    page.get_by_role("link", name="Go on").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"router-{suffix}")
    chosen = {name: page.get_by_label(f"Position of {name}-{suffix}").input_value() for name in ("wan", "lan")}
    assert chosen == {"wan": "1", "lan": "2"}

    page.goto(DEVICES)
    row = page.get_by_role("row").filter(has_text=f"router-{suffix}")
    expect(row).to_contain_text("modified")
    row.get_by_role("link", name=f"router-{suffix}").click()
    # What is wrong stands beside its field; what was typed is still there.
    page.locator("#form").get_by_label("Name").fill("not a name")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".bad")).to_have_count(1)
    expect(page.locator("#form").get_by_label("Name")).to_have_value("not a name")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert not complaints
    context.close()


def test_the_documentation_is_tried_out(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: None if request.url.startswith(address) else complaints.append(request.url))
    log_in(page, "admin")
    page.goto("/api/v1/docs/")

    def post(name: str) -> int:
        operation = page.locator("#operations-Templates-template_list_post")
        config = '{"interfaces": [{"name": "lan", "type": "ethernet"}]}'
        operation.locator("textarea.body-param__text").fill(
            f'{{"name": "{name}", "organization": null, "backend": "netjsonconfig.OpenWrt", "config": {config}}}'
        )
        with page.expect_response(lambda response: response.request.method == "POST") as answered:
            operation.get_by_role("button", name="Execute").click()
        return answered.value.status

    page.locator("#operations-tag-Templates").click()
    page.locator("#operations-Templates-template_list_post .opblock-summary-control").click()
    assert post("by session") == 201
    page.get_by_role("button", name="Authorize").click()
    dialog = page.locator(".modal-ux")
    dialog.get_by_label("auth-bearer-value").fill(TOKEN)
    dialog.locator("button.authorize").first.click()
    dialog.locator("button.btn-done").first.click()
    context.clear_cookies()
    assert post("by token") == 201
    assert not [each for each in complaints if not each.startswith("data:")]
    context.close()


def test_somebody_chooses_between_light_and_dark(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address, color_scheme="light")
    page = context.new_page()
    page.goto("/accounts/login/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch between").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    context.close()


def test_pages_fit_and_are_kept_as_pictures(browser: Browser, address: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(base_url=address)
    page = context.new_page()

    def picture(name: str) -> None:
        for width, scheme in product((1280, 390), SCHEMES):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the screen"
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})

    page.goto("/accounts/login/")
    picture("login")
    log_in(page, "admin")
    picture("start")
    page.goto(DEVICES)
    picture("list")
    if page.locator("tbody a").count():
        page.locator("tbody a").first.click()
        page.wait_for_url(re.compile(f"{DEVICES}[0-9a-f-]+/"))
        picture("detail")
    page.goto(TEMPLATES)
    page.locator("#form").get_by_label("Config").fill("{}")
    page.locator("#form").get_by_label("Name").fill("empty")
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".bad")).to_have_count(1)
    picture("form")
    page.goto(f"{TEMPLATES}00000000-0000-4000-8000-000000000000/")
    picture("error")
    page.goto("/api/v1/docs/")
    expect(page.locator(".opblock-tag").first).to_be_visible()
    picture("docs")
    context.close()
