"""What is no geometry and no image: refused with a reason, and nothing of it is kept."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from io import BytesIO

import pytest
from geo_rows import picture
from guywire.settings import SettingInvalid, Settings
from guywire_geo.geometry import parse
from guywire_geo.geometry_errors import GeometryInvalid
from guywire_geo.images import ImageInvalid, normalized
from guywire_geo.settings import GeoSettings
from PIL import Image

HEXEWKB = "0101000020E6100000" + struct.pack("<2d", 12.5, 41.8).hex()
RING = [[0, 0], [1, 0], [1, 1], [0, 0]]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, pixels: bytes = b"") -> bytes:
    """A PNG that says it has so many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animated() -> bytes:
    written = BytesIO()
    frames = [Image.new("L", (40, 40), shade) for shade in range(0, 250, 10)]
    frames[0].save(written, "GIF", save_all=True, append_images=frames[1:])
    return written.getvalue()


def jpeg_of_scans(number: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again: hardly any bytes, and each goes over all pixels."""
    image = picture("JPEG", (400, 400), progressive=True)[:-2]
    return image + image[image.rindex(b"\xff\xda") :] * number + b"\xff\xd9"


IMAGES = {
    "a header of 40,000 by 40,000 pixels": png_of(40_000, 40_000),
    "a little more than is allowed": png_of(4001, 4000),
    "many pixels of nothing": png_of(9000, 9000, zlib.compress(bytes(9000 * 9000 * 3), 9)),
    "a bomb beside the pixels": png_of(1, 1)[:33] + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000), 9)),
    "WebP of 16,383 by 16,383 pixels": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0",
    "JPEG of ten thousand scans": jpeg_of_scans(10_000),
    "HTML": b"<html><script>alert(1)</script>",
    "HTML behind the signature of a PNG": b"\x89PNG\r\n\x1a\n<html><script>alert(1)</script>",
    "SVG": SVG,
    "TIFF": picture("TIFF"),
    "half of a PNG": picture(size=(400, 400))[:600],
    "half of a JPEG": picture("JPEG", (400, 400))[:900],
    "nothing": b"",
    "too many bytes": picture() + bytes(5 * 1024 * 1024),
}


@pytest.mark.parametrize("what", IMAGES)
def test_it_is_no_image(what):
    with pytest.raises(ImageInvalid):
        normalized(IMAGES[what], 5 * 1024 * 1024, 16_000_000)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_images_of_all_kinds_stay_what_they_are(mode):
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        written = BytesIO()
        try:
            Image.new(mode, (5, 3)).save(written, kind, **({"icc_profile": b"secret"} if kind == "PNG" else {}))
        except (OSError, ValueError):
            continue  # no such image in this format
        made = normalized(written.getvalue() + b"trailing secret", 10_000, 1000)
        assert (made.width, made.height, made.extension[:2]) == (
            5,
            3,
            {"PNG": "pn", "JPEG": "jp", "WEBP": "we", "GIF": "gi"}[kind],
        )
        assert Image.open(BytesIO(made.content)).format == kind
        assert b"secret" not in made.content


def test_only_the_first_frame_of_an_animation_is_kept():
    assert Image.open(BytesIO(normalized(animated(), 100_000, 10_000).content)).n_frames == 1


def test_nothing_is_kept_of_what_is_refused(geo, admin):
    building = geo.location()
    for image in IMAGES.values():
        assert geo.plan(building, image=image, status=400).keys() == {"image"}
        form = {"name": "x", "organization": geo.organization, "type": "indoor", "geometry": "POINT (1 2)"}
        plan = {"floorplan.floor": "1", "floorplan.image": image}
        assert geo.form("POST", "location/", form | plan, 400)["floorplan"].keys() == {"image"}
    device = admin.make_device(geo.organization)
    # Here the image is good, and what comes after it is not.
    form = {"location": building["id"], "floorplan.floor": "1", "floorplan.image": picture(), "indoor": "here"}
    assert geo.form("PUT", f"device/{device['id']}/location/", form, 400) == {"indoor": ["invalid value"]}
    assert geo.files() == []
    assert (admin.get("floorplan/")["count"], admin.get("location/")["count"]) == (0, 1)
    plan = geo.plan(building)
    [name] = geo.files()
    assert name.endswith(".png")
    assert "floorplan" not in name
    assert plan["image"].endswith(f"/media/floorplans/{plan['id']}.png")


GOOD = {
    "POINT(12 42)": ("Point", 12, 42),
    "SRID=4326;POINT Z (12 42 100)": ("Point", 12, 42),
    "POINTZ(12 42 100)": ("Point", 12, 42),
    "MULTIPOINT (178 -18, -176 -16)": ("MultiPoint", -179, -17),
    "LINESTRING (170 0, -150 2)": ("LineString", -170, 1),
    "POLYGON ((-30 0, 40 0, 40 2, -30 0))": ("Polygon", 5, 1),
    HEXEWKB: ("Point", 12.5, 41.8),
    "MULTIPOINT (0 0, 2 4)": ("MultiPoint", 1, 2),
    "polygon ((0 0, 4 0, 4 2, 0 0))": ("Polygon", 2, 1),
    "GEOMETRYCOLLECTION (POINT (1 1), LINESTRING (1 1, 3 5))": ("GeometryCollection", 2, 3),
}


@pytest.mark.parametrize("text", GOOD)
def test_geometries_are_read(text):
    found = parse(text)
    assert (found.value["type"], found.longitude, found.latitude) == GOOD[text]
    assert parse(found.value) == found


BAD = [
    *(
        "nonsense",
        "POINT (",
        "POINT ()",
        "POINT EMPTY",
        "POINT (1 2) x",
        "POINT M (1 2 3)",
        "POINTZM (1 2 3 4)",
        "POINT (nan 1)",
        "POINT (1e999 2)",
    ),
    *(
        "SRID=3857;POINT (1 2)",
        "POINT" + "(" * 9000,
        "LINESTRING (1 2)",
        "MULTIPOINT (())",
        "MULTIPOINT (,)",
        HEXEWKB[:-2],
        HEXEWKB + "00",
    ),
    *("0101000020110F0000" + HEXEWKB[18:], "0107000000FFFFFFFF", "{", '{"type": "Point", "coordinates": [NaN, 1]}'),
    *(
        12,
        True,
        [],
        {},
        {"type": "Point"},
        {"type": ["Point"], "coordinates": [1, 2]},
        {"type": "Nope", "coordinates": [1, 2]},
    ),
    *(
        {"type": "Point", "coordinates": value}
        for value in ([], ["a", "b"], [1], [1, 2, 3, 4], [True, 1], [float("inf"), 1])
    ),
    *({"type": "Point", "coordinates": value} for value in ([180.1, 0], [0, -90.1], {"0": 1}, [[1, 2]], None)),
    {"type": "Polygon", "coordinates": [RING[:3]]},
    {"type": "Polygon", "coordinates": [[[0, 0]] * 10_000]},
    {"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection", "geometries": []}]},
    {"type": "Point", "coordinates": [1, 2], "crs": {"properties": {"name": "EPSG:3857"}}},
    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}},
]


@pytest.mark.parametrize("geometry", BAD, ids=lambda value: str(value)[:40])
def test_it_is_no_geometry(geometry):
    with pytest.raises(GeometryInvalid):
        parse(geometry)


def test_bad_geometries_are_told_of_their_field(admin, organization):
    base = {"name": "x", "organization": organization, "type": "outdoor"}
    for geometry in (
        "nonsense",
        {"type": "Point", "coordinates": [999, 1]},
        {"type": "LineString", "coordinates": [[0, 0]] * 10_000},
    ):
        assert admin.post("location/", {**base, "geometry": geometry}, 400).keys() == {"geometry"}
    for text in ('{"type": "Point", "coordinates": [NaN, 1]}', '{"type": "Point", "coordinates": [Infinity, 1]}'):
        assert admin.post("location/", {**base, "geometry": text}, 400).keys() == {"geometry"}
    assert admin.post("location/", {**base, "geometry": "POINT (1 2)", "geometry.type": "Point"}, 400).keys() == {
        "geometry"
    }
    assert admin.get("location/")["count"] == 0


def test_the_settings_say_what_is_wrong_with_them():
    def read(**values):
        return GeoSettings.of(replace(Settings(), of_plugins={"geo": values}))

    assert read(max_image_pixels="5").max_image_pixels == 5
    for values in ({"max_image_pixel": "5"}, {"max_image_size": "-1"}, {"max_image_size": "many"}):
        with pytest.raises(SettingInvalid, match=r"^guywire\.geo\.max_image_"):
            read(**values)
