"""Stories of where devices are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from geo_rows import picture
from webtest import TestApp

POINT = {"type": "Point", "coordinates": [12.512124, 41.898903]}
SQUARE = {"name": "Square", "type": "outdoor", "geometry": POINT}


@pytest.fixture
def device(admin, organization):
    """A device that is nowhere yet."""
    return admin.make_device(organization)


@pytest.fixture
def place(device):
    """Where it is said where the device is."""
    return f"device/{device['id']}/location/"


def test_a_device_is_put_somewhere_by_ids_and_moved_about(geo, admin, place):
    building = geo.location()
    plan = geo.plan(building)
    assert admin.get(place, 404) == {"detail": "No DeviceLocation matches the given query."}
    admin.patch(place, {"indoor": "1,1"}, 404)
    ids = {"location": building["id"], "floorplan": plan["id"]}
    found = admin.put(place, ids | {"indoor": "-36,264"}, 201)
    assert found == admin.get(place)
    assert list(found["floorplan"]) == ["id", "name", "floor", "image", "created", "modified"]
    assert found["location"]["properties"] == {
        **{"type": "indoor", "is_mobile": False, "name": "Town Hall", "address": ""}
    }
    assert admin.put(place, {"location": building["id"]}) == found
    assert admin.patch(place, {"indoor": ""})["indoor"] is None
    assert admin.patch(place, {"indoor": "10,20"})["floorplan"] == found["floorplan"]
    for indoor in ("nonsense", "1", "1,2,3", "nan,1", "1,inf"):
        assert admin.patch(place, {"indoor": indoor}, 400) == {"indoor": ["invalid value"]}
    # Another building has other floors: neither the plan nor the point on it are those of before.
    other = geo.location("Library")
    wrong = {"__all__": ["Invalid floorplan (belongs to a different location)"]}
    assert admin.patch(place, {"floorplan": geo.plan(other)["id"]}, 400) == wrong
    moved = admin.patch(place, {"location": other["id"]})
    assert (moved["location"]["id"], moved["floorplan"], moved["indoor"]) == (other["id"], None, None)
    # The picture of a floor may go; the device stays in the building.
    admin.put(place, ids | {"indoor": "1,2"})
    admin.delete(f"floorplan/{plan['id']}/")
    found = admin.get(place)
    assert (found["location"]["id"], found["floorplan"], found["indoor"]) == (building["id"], None, None)
    admin.delete(place)
    admin.get(place, 404)
    assert admin.get(f"location/{building['id']}/")["name"] == "Town Hall"


def test_location_and_floor_plan_are_made_and_changed_with_the_place(geo, admin, place):
    form = {
        **{"location.name": "Hall", "location.geometry.type": "Point"},
        **{"location.geometry.coordinates": "[12.512124, 41.898903]", "location.type": "indoor"},
        **{"floorplan.floor": "1", "floorplan.image": picture()},
    }
    outdoor = geo.form("PUT", place, form | {"location.type": "outdoor"}, 400)
    assert outdoor["floorplan"].keys() == {"__all__"}
    assert (geo.files(), admin.get("location/")["count"]) == ([], 0)
    made = geo.form("PUT", place, form)
    assert (made["location"]["geometry"], made["floorplan"]["floor"], made["indoor"]) == (POINT, 1, None)
    changed = geo.form(
        "PUT", place, form | {"location.name": "Town Hall", "floorplan.floor": "4", "indoor": "3,4"}, 200
    )
    assert (changed["floorplan"]["name"], changed["indoor"]) == ("Town Hall 4th Floor", "3,4")
    assert changed["location"]["id"] == made["location"]["id"]
    assert changed["floorplan"]["id"] == made["floorplan"]["id"]
    existing = {"location": made["location"]["id"], "floorplan.floor": "5"}
    assert geo.form("PUT", place, existing, 200)["floorplan"]["floor"] == 5
    dotted = {"location.name": "N", "location.type": "outdoor", "location.geometry": "POINT (1 2)"}
    changed = admin.put(place, dotted)
    assert (changed["location"]["geometry"]["coordinates"], changed["floorplan"]) == ([1.0, 2.0], None)
    errors = admin.put(place, {"location": {"name": "", "geometry": "nonsense"}, "floorplan": None}, 400)
    assert errors["location"].keys() == {"name", "type", "geometry"}
    assert admin.put(place, {"location": SQUARE | {"geometry": None}}, 400)["location"].keys() == {"geometry"}


def test_devices_are_only_at_locations_of_their_organization(
    geo, geography, admin, operator, stranger, device, place, other_organization
):
    theirs = geo.location(organization=other_organization)
    plan = geo.plan(theirs)
    unknown = {"location": {"location": "Location object with entered ID does not exists."}}
    assert operator.put(place, {"location": theirs["id"]}, 400) == unknown
    assert operator.put(place, {"location": None}, 400).keys() == {"location"}
    assert admin.put(place, {"location": theirs["id"]}, 400)["location"][0].startswith("Please ensure")
    operator.put(place, {"location": SQUARE}, 201)
    assert operator.patch(place, {"floorplan": plan["id"]}, 400).keys() == {"floorplan"}
    for path in (
        place,
        place.replace("location", "coordinates"),
        f"location/{operator.get(place)['location']['id']}/device/",
    ):
        stranger.get(path, 404)
    stranger.put(place, {"location": SQUARE}, 404)
    stranger.delete(place, 404)
    # A location does not leave its devices behind, and a device does not take a location along.
    mine = operator.get(place)["location"]["id"]
    assert admin.patch(f"location/{mine}/", {"organization": other_organization}, 400).keys() == {"organization"}
    admin.patch(f"device/{device['id']}/", {"organization": other_organization})
    admin.get(place, 404)
    operator.get(f"location/{mine}/")
    assert admin.patch(f"location/{mine}/", {"organization": other_organization})["organization"] == other_organization


def test_who_may_place_devices_may_not_therefore_change_locations(runtime, app, organization, place, permitted):
    placer = permitted("view_devicelocation", "change_devicelocation", "add_devicelocation")
    assert placer.put(place, {"location": SQUARE}, 403)
    changer = permitted("view_devicelocation", "change_devicelocation", "add_location")
    assert changer.put(place, {"location": SQUARE}, 403)


def test_the_key_of_a_device_is_good_for_its_own_coordinates(
    geo, admin, anonymous, operator, organization, device, place
):
    path, key = f"device/{device['id']}/coordinates/", f"?key={device['key']}"
    other = admin.make_device(organization, "other", "00:00:00:00:00:02")
    for wrong in ("", "?key=wrong", f"?key={other['key']}"):
        anonymous.get(path + wrong, 401)
        anonymous.put(path + wrong, {"geometry": POINT}, 401)
    anonymous.patch(path + key, {"geometry": POINT}, 404)
    anonymous.get(path + key, 404)
    feature = {"type": "Feature", "geometry": POINT, "properties": {"name": "router"}}
    assert anonymous.put(path + key, {"type": "Feature", "geometry": POINT}) == feature
    for nothing in ({}, {"type": "Point", "coordinates": [1, 1]}):
        assert anonymous.put(path + key, nothing) == feature
    location = admin.get(place)["location"]
    assert location["properties"] == {"type": "outdoor", "is_mobile": True, "name": "router", "address": ""}
    assert anonymous.put(path + key, {"geometry": None})["geometry"] is None
    for geometry in ("nonsense", {"type": "Point", "coordinates": [999, 1]}):
        assert anonymous.put(path + key, {"geometry": geometry}, 400).keys() == {"geometry"}
    # Whoever may see and change locations needs no key.
    assert operator.patch(path, {"geometry": "POINT (1 2)"})["geometry"]["coordinates"] == [1.0, 2.0]
    fixed = geo.location("Mast", type="outdoor")
    admin.put(place, {"location": fixed["id"]})
    assert anonymous.put(path + key, {"geometry": None}, 400).keys() == {"geometry"}
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    anonymous.put(path + key, feature, 403)
    assert anonymous.get(path + key)["geometry"] == POINT
    admin.put(place, {"location": fixed["id"]}, 403)


def test_a_location_tells_of_its_devices_and_the_list_of_devices_of_locations(geo, admin, organization, permitted):
    building = geo.location()
    ground, first = geo.plan(building, 0), geo.plan(building, -2)
    devices = [admin.make_device(organization, f"d{number}", f"00:00:00:00:00:0{number}") for number in range(3)]
    for device, plan in zip(devices, (ground, first), strict=False):
        body = {"location": building["id"], "floorplan": plan["id"], "indoor": "-36.5,264"}
        admin.put(f"device/{device['id']}/location/", body, 201)
    listed = admin.get(f"location/{building['id']}/device/", page_size=1)
    assert (listed["has_floorplan"], listed["count"], len(listed["results"])) == (True, 2, 1)
    assert "key" not in listed["results"][0]
    indoors = f"location/{building['id']}/indoor-coordinates/"
    on_floor = admin.get(indoors)
    assert (on_floor["floors"], on_floor["count"]) == ([-2, 0], 1)
    [where] = on_floor["results"]
    assert (where["device_name"], where["floor_name"]) == ("d0", "Town Hall ground floor")
    assert where["coordinates"] == {"lat": -36.5, "lng": 264.0}
    assert [each["device_name"] for each in admin.get(indoors, floor="-2")["results"]] == ["d1"]
    assert admin.get(indoors, floor="7")["results"] == []
    assert admin.get(indoors, 400, floor="zz") == {"floor": ["Enter a number."]}
    # Whoever may not see devices is not told what they are called.
    permitted("view_devicelocation").get(indoors, 403)
    assert permitted("view_devicelocation", "view_device").get(indoors)["count"] == 1

    def names(**query):
        return sorted(each["name"] for each in admin.get("device/", **query)["results"])

    assert (names(with_geo="true"), names(with_geo="false")) == (["d0", "d1"], ["d2"])
    assert names(with_geo="nonsense") == ["d0", "d1", "d2"]
    assert names(location=building["id"]) == names(location__name="town") == ["d0", "d1"]
    assert names(floorplan=ground["id"]) == ["d0"]
    assert names(location=devices[0]["id"]) == []
    assert admin.get("device/", 400, location="nonsense") == {"location": ["Enter a valid UUID."]}


def test_organizations_cannot_have_estimated_locations(admin, operator, organization):
    path = f"organization/{organization}/geo-settings/"
    default = {"organization": organization, "estimated_location_enabled": False}
    assert operator.get(path) == default
    operator.put(path, {}, 403)
    assert admin.put(path, {"estimated_location_enabled": False}) == default
    assert admin.patch(path, {"estimated_location_enabled": True}, 400).keys() == {"estimated_location_enabled"}
    assert admin.get(path) == default


def test_places_that_are_said_at_once_are_one(app, admin, device, place):
    headers = {"Authorization": f"Bearer {admin.token}"}

    def put(number):
        url, key = f"/api/v1/controller/{place}", f"?key={device['key']}"
        if number % 2:
            body = {"geometry": {"type": "Point", "coordinates": [number, number]}}
            url = url.replace("location/", f"coordinates/{key}")
        else:
            body = {"location": SQUARE | {"name": f"n{number}"}}
        # WebTest's own object remembers cookies and is not for several threads.
        return TestApp(app.app).put_json(url, body, headers=headers, status="*").status_int

    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(put, range(8)))
    assert set(statuses) <= {200, 201, 503}
    assert statuses.count(201) <= 1
    assert admin.get("location/")["count"] == 1


def test_no_device_is_left_on_a_plan_that_moves_away(geo, app, admin, organization):
    """However placings and the move of the plan follow each other."""
    here, there = geo.location(), geo.location("Annex")
    plan = geo.plan(here)
    devices = [admin.make_device(organization, name=f"d{n}", mac_address=f"02:00:00:00:00:0{n}") for n in range(4)]
    places = [f"device/{each['id']}/location/" for each in devices]
    headers = {"Authorization": f"Bearer {admin.token}"}
    onto = {"location": here["id"], "floorplan": plan["id"], "indoor": "1,2"}

    def request(wanted):
        method, path, body = wanted
        client = TestApp(app.app)
        return getattr(client, method)(f"/api/v1/controller/{path}", body, headers=headers, status="*").status_int

    move = ("patch_json", f"floorplan/{plan['id']}/", {"location": there["id"]})
    wanted = [("put_json", place, onto) for place in places]
    with ThreadPoolExecutor(5) as threads:
        statuses = list(threads.map(request, [*wanted[:2], move, *wanted[2:]]))
    assert set(statuses) <= {200, 201, 400, 503}
    assert admin.get("device/", floorplan=plan["id"])["count"] == 0 or statuses[2] == 503
