"""The pages of the map: who may see them, that names stay names, and what the settings say of tiles."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from guywire.db import writing
from guywire.runtime import Runtime
from guywire.security import add_member
from guywire.services.accounts import create_user
from guywire.settings import SettingInvalid
from guywire_geo.map.tiles import Tiles
from guywire_geo.models import DeviceLocation, Location
from guywire_geo.settings import GeoSettings
from webtest import TestApp

HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
def located(admin: Any, organization: str, runtime: Runtime) -> Any:
    """A device at an indoor place, both with names that would like to be scripts."""
    device = admin.make_device(organization)
    with writing(runtime.session_factory) as session:
        now = runtime.clock()
        values = {"type": "indoor", "address": HOSTILE, "organization_id": UUID(organization)}
        location = Location(name=HOSTILE, longitude=12.5, latitude=41.9, **values, created=now, modified=now)
        location.geometry = {"type": "Point", "coordinates": [12.5, 41.9]}
        session.add(location)
        session.flush()
        session.add(DeviceLocation(device_id=UUID(device["id"]), location_id=location.id, created=now, modified=now))
        return str(location.id)


def log_in(app: TestApp, runtime: Runtime, username: str, organization: str | None = None, **fields: Any) -> None:
    with writing(runtime.session_factory) as session:
        user = create_user(session, runtime.clock(), username=username, password="correct horse", **fields)
        if organization is not None:
            add_member(session, user, UUID(organization), is_admin=True)
    app.reset()
    form = app.get("/accounts/login/").form
    form["username"], form["password"] = username, "correct horse"
    form.submit(status=303)


def test_the_map_is_for_those_who_may_see_locations(
    app: TestApp, runtime: Runtime, located: str, organization: str, other_organization: str, permitted: Any
) -> None:
    for path in ("/map/", f"/map/location/{located}/"):
        assert app.get(path, status=303).location == f"/accounts/login/?next={path}"
    log_in(app, runtime, "nobody", organization)
    app.get("/map/", status=403)
    app.get(f"/map/location/{located}/", status=403)
    assert 'href="/map/"' not in app.get("/").text
    app.reset()
    headers = {"Authorization": f"Bearer {permitted('view_location').token}"}
    app.get(f"/map/location/{located}/", headers=headers).mustcontain("no devices here that you may see")
    log_in(app, runtime, "root", is_superuser=True)
    page = app.get("/")
    assert 'href="/map/"' in page.text
    detail = app.get(f"/api/v1/controller/location/{located}/", headers={"Accept": "text/html"})
    assert f'href="/map/location/{located}/"' in detail.text
    app.get("/map/location/00000000-0000-4000-8000-000000000000/", status=404)
    app.get(f"/map/?organization={other_organization}", status=200).mustcontain(no=located)
    app.get("/map/?type=hovering", status=400)


def test_names_stay_names(app: TestApp, runtime: Runtime, located: str) -> None:
    log_in(app, runtime, "root", is_superuser=True)
    for path in ("/map/", f"/map/location/{located}/", f"/map/location/{located}/?floor=<script>"):
        page = app.get(path)
        assert "<script>alert" not in page.text
        assert HOSTILE in page.html.main.text
        assert "script-src 'self';" in page.headers["Content-Security-Policy"]
        assert page.headers["X-Frame-Options"] == "DENY"
    assert "modified" in app.get("/map/").html.find("tbody").text


def test_a_page_of_the_list_is_no_longer_than_other_pages(app: TestApp, runtime: Runtime, organization: str) -> None:
    now = runtime.clock()
    values = {"organization_id": UUID(organization), "name": "mast", "type": "outdoor", "device_count": 1}
    with writing(runtime.session_factory) as session:
        session.execute(sa.insert(Location), [{**values, "created": now, "modified": now}] * 101)
    log_in(app, runtime, "root", is_superuser=True)
    assert len(app.get("/map/?page_size=100000").html.tbody.find_all("tr")) == 100


def test_tiles_come_from_where_the_settings_say() -> None:
    tiles = Tiles.of(GeoSettings(tile_url="https://{s}.tile.example.org/{z}/{x}/{y}.png", tile_attribution="© them"))
    assert tiles.policy == {"img-src": "'self' data: https://*.tile.example.org"}
    assert Tiles.of(GeoSettings(tile_url="/tiles/{z}/{x}/{y}.png")).policy == {"img-src": "'self' data:"}
    for url in ("https://example.org/", "javascript:{z}{x}{y}", "https://a; script-src *//{z}/{x}/{y}", "//b/{z}{x}"):
        with pytest.raises(SettingInvalid, match=r"guywire\.geo\.tile_url"):
            Tiles.of(GeoSettings(tile_url=url))
