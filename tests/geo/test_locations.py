"""Stories of locations and their floor plans."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

from geo_rows import picture
from guywire.app import create_app
from guywire.db import writing
from guywire.services.accounts import create_user
from guywire.testing import Client
from PIL import Image
from webtest import TestApp

IN_A_PAGE = {"Accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"}
POINT = {"type": "Point", "coordinates": [12.512124, 41.898903]}


def test_a_location_is_made_in_any_way_that_the_reference_describes(geo, admin, organization):
    base = {"name": "Via del Corso", "organization": organization, "type": "outdoor"}
    for geometry in (POINT, "POINT (12.512124 41.898903)", '{"type": "Point", "coordinates": [12.512124, 41.898903]}'):
        assert admin.post("location/", {**base, "geometry": geometry})["geometry"] == POINT
    dotted = {"geometry.type": "Point", "geometry.location": POINT["coordinates"]}
    made = admin.post("location/", base | dotted)
    assert list(made) == [
        *("id", "organization", "name", "type", "is_mobile", "address", "geometry", "created", "modified", "floorplan")
    ]
    assert (made["geometry"], made["floorplan"], made["is_mobile"]) == (POINT, [], False)
    form = {**base, "type": "indoor", "geometry.type": "Point", "geometry.coordinates": "[12.512124, 41.898903]"}
    made = geo.form("POST", "location/", form | {"floorplan.floor": "3", "floorplan.image": picture()})
    assert (made["geometry"], [plan["floor"] for plan in made["floorplan"]]) == (POINT, [3])
    deep = {"type" + ".a" * 3000: "1"}
    too_deep = {"detail": "A key is nested deeper than 100 levels."}
    assert admin.post("location/", base | deep, 400) == geo.form("POST", "location/", deep, 400) == too_deep
    # Only whoever moves about may be nowhere.
    assert admin.post("location/", base, 400) == {"geometry": ["No geometry value provided."]}
    nowhere = admin.post("location/", base | {"is_mobile": True})
    for change in ({"is_mobile": False}, {"geometry": None, "is_mobile": False}):
        assert admin.patch(f"location/{nowhere['id']}/", change, 400) == {"geometry": ["No geometry value provided."]}
    assert admin.get("location/", is_mobile="true", organization=organization)["count"] == 1
    assert admin.get("location/", type="indoor")["results"] == [made]


def test_only_the_newest_floor_plan_is_edited_through_its_location(geo, admin, clock):
    building = geo.location()
    path = f"location/{building['id']}/"
    first = geo.plan(building, 1)
    clock.advance(1)
    second = geo.plan(building, 2)
    changed = geo.form("PATCH", path, {"floorplan.floor": "13"}, 200)
    assert [plan["floor"] for plan in changed["floorplan"]] == [13, 1]
    assert admin.get(f"floorplan/{second['id']}/")["name"] == "Town Hall 13th Floor"
    assert admin.patch(path, {"floorplan": {"floor": 1}}, 400)["floorplan"].keys() == {"__all__"}
    assert admin.patch(path, {"floorplan": {"floor": 2, "image": "plan.png"}}, 400)["floorplan"].keys() == {"image"}
    assert admin.get(f"floorplan/{first['id']}/") == first
    wrong = {"type": ["Floorplan can only be added with location of the type indoor"]}
    assert admin.patch(path, {"type": "outdoor", "floorplan": {"floor": 1}}, 400) == wrong


def test_floor_plans_have_the_references_errors(geo, admin):
    building, square = geo.location(), geo.location("Square", type="outdoor")
    plan = geo.plan(building)
    assert list(plan) == ["id", "name", "floor", "image", "created", "modified", "location", "organization"]
    assert geo.plan(building, status=400) == {
        "non_field_errors": ["The fields location, floor must make a unique set."]
    }
    assert geo.plan(square, status=400).keys() == {"__all__"}
    assert admin.patch(f"floorplan/{plan['id']}/", {"location": square["id"]}, 400).keys() == {"__all__"}
    assert geo.plan(building, 99999, status=400).keys() == {"floor"}
    assert admin.post("floorplan/", {}, 400) == {
        "floor": ["This field is required."],
        "image": ["No file was submitted."],
        "location": ["This field is required."],
    }
    assert admin.get(f"floorplan/{plan['id']}/") == plan
    assert admin.get("floorplan/", organization_slug="org1")["results"] == [plan]


def test_a_location_that_becomes_outdoor_keeps_its_devices_and_loses_its_plans(geo, admin, organization, worker):
    building = geo.location()
    plan = geo.plan(building)
    device = admin.make_device(organization)
    place = f"device/{device['id']}/location/"
    admin.put(place, {"location": building["id"], "floorplan": plan["id"], "indoor": "-36,264"}, 201)
    assert len(geo.files()) == 1
    assert admin.patch(f"location/{building['id']}/", {"type": "outdoor"})["floorplan"] == []
    admin.get(f"floorplan/{plan['id']}/", 404)
    found = admin.get(place)
    assert (found["location"]["id"], found["floorplan"], found["indoor"]) == (building["id"], None, None)
    worker.run_due(1)
    assert geo.files() == []
    admin.delete(f"location/{building['id']}/")
    admin.get(place, 404)


def test_pictures_are_for_those_who_may_see_the_plan(geo, admin, anonymous, operator, stranger):
    upload = BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "where the safe is"  # turned by a quarter, with a description
    Image.new("RGB", (8, 4), "red").save(upload, "JPEG", exif=exif, comment=b"secret")
    plan = geo.plan(geo.location(), image=upload.getvalue())
    assert plan["image"] == f"http://localhost/media/floorplans/{plan['id']}.jpg"
    path = plan["image"].removeprefix("http://localhost")
    shown = operator.request("GET", path)
    assert (shown.content_type, shown.headers["X-Content-Type-Options"]) == ("image/jpeg", "nosniff")
    assert shown.headers["Cache-Control"] == "private, no-cache"
    assert b"safe" not in shown.body
    assert b"secret" not in shown.body
    assert Image.open(BytesIO(shown.body)).size == (4, 8)
    again = operator.request("GET", path, headers={"If-None-Match": shown.headers["ETag"]}, status=304)
    assert again.body == b""
    anonymous.get(path, 401)
    stranger.get(path, 404)
    # The picture of another type has another address; the former one goes with its file.
    before = geo.files()
    changed = geo.form("PATCH", f"floorplan/{plan['id']}/", {"image": picture("WEBP")}, 200)
    assert changed["image"].endswith(".webp")
    operator.get(path, 404)
    assert operator.request("GET", f"/media/floorplans/{plan['id']}.webp").content_type == "image/webp"
    assert set(before) < set(geo.files())


def test_a_page_shows_pictures_to_whoever_has_logged_in(geo, app, runtime):
    path = geo.plan(geo.location())["image"].removeprefix("http://localhost")
    with writing(runtime.session_factory) as session:
        create_user(session, runtime.clock(), username="viewer", password="correct horse", is_superuser=True)
    app.get(path, headers=IN_A_PAGE, status=401)
    form = app.get("/accounts/login/").form
    form["username"], form["password"] = "viewer", "correct horse"
    form.submit(status=303)
    assert app.get(path, headers=IN_A_PAGE).content_type == "image/png"


def test_files_go_with_their_rows_and_after_a_while_without_them(geo, admin, worker, clock):
    for kind in ("PNG", "GIF"):
        plan = geo.plan(geo.location(), image=picture(kind))
    worker.run_due(1)
    lost = geo.folder / "0123.png"
    lost.write_bytes(b"of a process that was killed")
    assert len(geo.files()) == 3
    admin.delete(f"floorplan/{plan['id']}/")
    assert len(geo.files()) == 3
    worker.run_due(1)
    assert len(geo.files()) == 2
    # A transaction may still be about to refer to a file that is new.
    clock.now = datetime.fromtimestamp(lost.stat().st_mtime, UTC)
    clock.advance(25 * 3600)
    worker.run_due(25 * 3600)
    assert len(geo.files()) == 1
    admin.delete(f"/api/v1/users/organization/{geo.organization}/")
    worker.run_due(1)
    assert geo.files() == []


def test_without_the_plugin_its_filter_means_nothing(admin, organization, settings, clock):
    device = admin.make_device(organization)
    application = create_app(replace(settings, plugins_blocked=frozenset({"geo"})), clock=clock)
    client = Client(TestApp(application), admin.token)
    for path in ("location/", "floorplan/", f"device/{device['id']}/location/", f"device/{device['id']}/coordinates/"):
        client.get(path, 404)
    for with_geo in ("true", "false"):
        assert client.get("device/", with_geo=with_geo)["count"] == 1
    client.delete(f"device/{device['id']}/?force=true")
    application.registry.poll_reader.close()
    application.registry.runtime.close()
