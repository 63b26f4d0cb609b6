"""The map in a real browser: clusters, popups, a device that moves, floor plans; light and dark, wide and narrow."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from processes import FIXTURE, INI, ROOT, TOKEN, Instance, eventually

pytestmark = pytest.mark.system
expect.set_options(timeout=30_000)

SCREENSHOTS = ROOT / "var/screenshots"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
API = "/api/v1/controller/"
HOSTILE = "<img src=x onerror=alert(1)>\"'&"
CITIES = {"Rome": (12.5, 41.9, 5), "Berlin": (13.4, 52.5, 3), "Madrid": (-3.7, 40.4, 2), "Lima": (-77.0, -12.0, 4)}


class Fleet:
    """A server with devices all over the world."""

    def __init__(self, instance: Instance) -> None:
        self.address = f"http://127.0.0.1:{instance.port}"
        self.client = requests.Session()
        self.client.headers["Authorization"] = f"Bearer {TOKEN}"
        self.organization = self.get("organization/", "/api/v1/users/")["results"][0]["id"]
        self.number = 0

    def get(self, path: str, base: str = API) -> Any:
        return self._checked(self.client.get(self.address + base + path))

    def _checked(self, answer: requests.Response) -> Any:
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def device(self, status: str) -> Any:
        self.number += 1
        config = {"backend": "netjsonconfig.OpenWrt", "config": {"general": {}}, "templates": [], "context": {}}
        body = {
            "name": f"ap-{self.number:03d}",
            "mac_address": f"02:aa:00:00:00:{self.number:02x}",
            "organization": self.organization,
            "config": config,
        }
        device = self._checked(self.client.post(f"{self.address}{API}device/", json=body))
        if status != "modified":
            key = {"key": device["key"]}
            requests.get(f"{self.address}/controller/download-config/{device['id']}/", params=key, timeout=30)
            form = {**key, "status": status}
            requests.post(f"{self.address}/controller/report-status/{device['id']}/", data=form, timeout=30)
        return device

    def place(self, device: Any, name: str, longitude: float, latitude: float) -> Any:
        geometry = {"type": "Point", "coordinates": [longitude, latitude]}
        location = {"name": name, "type": "outdoor", "geometry": geometry, "address": "A street 1"}
        answer = self.client.put(f"{self.address}{API}device/{device['id']}/location/", json={"location": location})
        return self._checked(answer)["location"]

    def building(self, name: str, longitude: float, latitude: float) -> Any:
        body = {
            "name": name,
            "type": "indoor",
            "organization": self.organization,
            "address": "Am Platz 1",
            "geometry": f"POINT ({longitude} {latitude})",
        }
        location = self._checked(self.client.post(f"{self.address}{API}location/", json=body))
        for floor in (0, 1):
            fields = {"floor": floor, "location": location["id"]}
            plan = self._checked(
                self.client.post(f"{self.address}{API}floorplan/", data=fields, files={"image": ("p.png", drawing())})
            )
        for status, indoor in (("applied", "-120,160"), ("error", "-330,420"), ("modified", "-150,690")):
            body = {"location": location["id"], "floorplan": plan["id"], "indoor": indoor}
            device = self.device(status)
            self._checked(self.client.put(f"{self.address}{API}device/{device['id']}/location/", json=body))
        return location


def drawing() -> bytes:
    """A floor plan."""
    image = Image.new("RGB", (820, 480), "white")
    draw = ImageDraw.Draw(image)
    for box in ((20, 20, 800, 460), (20, 20, 300, 230), (300, 20, 560, 230), (560, 20, 800, 230), (20, 290, 800, 460)):
        draw.rectangle(box, outline="#456", width=5)
    for x in (160, 430, 680):
        draw.rectangle((x - 25, 226, x + 25, 236), fill="white")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Some cities full of devices, a building, and a name that would like to be a script."""
    instance = Instance(tmp_path_factory.mktemp("instance"))
    for arguments in (("migrate", INI), ("bootstrap", INI, FIXTURE)):
        result = instance.run(*arguments)
        assert result.returncode == 0, result.stderr
    with instance.serve():
        eventually(instance.answers, "the first answer")
        made, chance = Fleet(instance), random.Random(7)
        for city, (longitude, latitude, count) in CITIES.items():
            for number in range(count):
                status = chance.choice(["applied", "applied", "applied", "modified", "error"])
                at = longitude + chance.uniform(-0.08, 0.08), latitude + chance.uniform(-0.06, 0.06)
                made.place(made.device(status), f"{city} {number + 1}", *at)
        made.place(made.device("applied"), HOSTILE, 151.2, -33.9)
        made.hall = made.building("Town Hall", 13.405, 52.52)  # type: ignore[attr-defined]
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def logged_in(browser: Browser, fleet: Fleet) -> Any:
    """The cookies of somebody who has logged in."""
    page = browser.new_page(base_url=fleet.address)
    page.goto("/map/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill("tester-Pass1")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Map", exact=True)).to_be_visible()
    return page.context.storage_state()


def visit(browser: Browser, fleet: Fleet, state: Any, **options: Any) -> tuple[BrowserContext, Page, list[str]]:
    """A page of its own, and what it complains about."""
    context = browser.new_context(base_url=fleet.address, storage_state=state, **options)
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda each: None if each.url.startswith(fleet.address) else complaints.append(each.url))
    return context, page, complaints


def test_somebody_looks_closer_and_a_device_that_moves_moves(browser: Browser, fleet: Fleet, logged_in: Any) -> None:
    context, page, complaints = visit(browser, fleet, logged_in)
    page.goto("/map/")
    expect(page.locator("#state")).to_have_text("16 locations in view.")
    page.get_by_role("button", name="4 locations:", exact=False).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("4 locations in view.")
    page.goto("/map/#12/-33.9/151.2")
    page.reload()
    mark = page.locator(".mark")
    expect(mark).to_have_count(1)
    mark.click()
    expect(page.locator(".leaflet-popup h3")).to_have_text(HOSTILE)
    page.keyboard.press("Escape")
    before = eventually(mark.bounding_box, "a place of the mark")["x"]
    [device] = [each for each in fleet.get("device/?page_size=100")["results"] if each["name"] == "ap-015"]
    moved = {"geometry": {"type": "Point", "coordinates": [151.24, -33.9]}}
    where = f"{fleet.address}{API}device/{device['id']}/coordinates/"
    requests.put(where, params={"key": device["key"]}, json=moved, timeout=30).raise_for_status()

    def has_moved() -> bool:
        page.wait_for_timeout(200)
        # While the map is drawn anew, the mark may have no place.
        box = mark.bounding_box()
        return box is not None and box["x"] > before + 50

    eventually(has_moved, "the mark moves")
    wrong = fleet.get("location/geojson/?config__status=error")["count"]
    page.goto("/map/?config__status=error")
    expect(page.locator("#state")).to_have_text(f"{wrong} locations in view.")
    assert not complaints
    context.close()


def test_without_scripts_there_is_a_list(browser: Browser, fleet: Fleet, logged_in: Any) -> None:
    context, page, _ = visit(browser, fleet, logged_in, java_script_enabled=False)
    page.goto("/")
    page.get_by_role("link", name="Map", exact=True).click()
    expect(page.locator("#atlas")).to_be_hidden()
    row = page.get_by_role("row").filter(has_text="Town Hall")
    expect(row).to_contain_text("1 error")
    row.get_by_role("link", name="Town Hall").click()
    page.get_by_role("link", name="Devices on the plan").click()
    page.get_by_role("link", name="1st floor").click()
    expect(page.locator("svg .pin")).to_have_count(3)
    expect(page.locator("svg .pin-error")).to_have_attribute("cx", "420.0")
    expect(page.locator("svg .pin-error")).to_have_attribute("cy", "330.0")
    page.get_by_role("link", name="Ground floor").click()
    expect(page.locator("svg .pin")).to_have_count(0)
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_maps_fit_and_are_kept_as_pictures(
    browser: Browser, fleet: Fleet, logged_in: Any, width: int, scheme: Any
) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    size: Any = {"width": width, "height": 900}
    context, page, complaints = visit(browser, fleet, logged_in, viewport=size, color_scheme=scheme)

    def picture(name: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the screen"
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png")

    page.goto("/map/")
    expect(page.locator("#state")).to_contain_text("in view")
    expect(page.locator("path.land")).to_have_count(1)
    page.wait_for_timeout(400)
    picture("map")
    page.goto("/map/#15/52.52/13.405")
    page.reload()
    page.get_by_role("button", name="Town Hall").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".leaflet-popup h3")).to_have_text("Town Hall")
    page.wait_for_timeout(400)
    picture("map-popup")
    page.get_by_role("link", name="Floor plans and devices").click()
    page.get_by_role("link", name="1st floor").click()
    expect(page.locator("svg .pin")).to_have_count(3)
    picture("map-floor")
    assert not complaints
    context.close()
