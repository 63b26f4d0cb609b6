"""Stories of clients that send nonsense: a clear answer that names what is wrong, and nothing changed."""

import io
import json
import math
from dataclasses import replace
from uuid import UUID, uuid4

import hypothesis
import pytest
import sqlalchemy as sa
from guywire.db import reading
from guywire.models import Base
from guywire.testing.clients import API, OPENWRT
from hypothesis import strategies as st
from webtest import TestApp

OPENWISP = "netjsonconfig.OpenWisp"
TOKEN = "/api/v1/users/token/"
ORGANIZATIONS = "/api/v1/users/organization/"
COLLECTIONS = (f"{API}template/", f"{API}device/", ORGANIZATIONS)
CONFIG = {"interfaces": [{"name": "eth0", "type": "ethernet"}], "general": {"hostname": "given"}}
NOT_FOUND = {"detail": "Not found."}


@pytest.fixture
def changes():
    """What is different in the application's settings."""
    return {}


@pytest.fixture
def settings(settings, changes):
    return replace(settings, **changes)


def everything(runtime):
    """All rows of all tables."""
    with reading(runtime.session_factory) as session:
        return {
            table.name: sorted(map(repr, session.execute(sa.select(table)).all()))
            for table in Base.metadata.sorted_tables
        }


@pytest.fixture
def unchanged(runtime):
    """Check at the end that the database is what it was when this was called."""
    before = []
    yield lambda: before.append(everything(runtime))
    assert before
    assert everything(runtime) == before[0]


@pytest.fixture
def send(app, admin):
    """Send bytes as a superuser. Returns the response, whatever its status."""

    def send(method, url, body=b"", content_type="application/json", **headers):
        headers = {"Authorization": f"Bearer {admin.token}"} | headers
        environ = {"CONTENT_TYPE": content_type} if content_type is not None else {}
        return app.request(url, method=method, body=body, headers=headers, environ=environ, status="*")

    return send


@pytest.fixture
def objects(admin, organization):
    """One object of each kind: the path of each by that of its list, and a body that creates another one."""
    template = admin.make_template(organization, "given", config=CONFIG)
    device = admin.make_device(organization, "given", templates=[template["id"]])
    return {
        f"{API}template/": (f"{API}template/{template['id']}/", template_body(organization)),
        f"{API}device/": (f"{API}device/{device['id']}/", device_body(organization)),
        ORGANIZATIONS: (f"{ORGANIZATIONS}{organization}/", {"name": "other", "slug": "other"}),
    }


def template_body(organization):
    return {"name": "other", "organization": organization, "backend": OPENWRT, "type": "generic", "config": CONFIG}


def device_body(organization):
    config = {"backend": OPENWRT, "templates": [], "context": {}, "config": CONFIG}
    return {"name": "other", "organization": organization, "mac_address": "66:77:88:99:aa:bb", "config": config}


# Bodies that cannot be read


def test_what_is_not_json_is_answered_with_the_place_of_the_mistake(send, objects, unchanged):
    unchanged()
    for body, detail in [
        (b'{"name": ', "Expecting value: line 1 column 10 (char 9)"),
        (b"{not json", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b'{"name": "x",}', "Expecting property name enclosed in double quotes: line 1 column 14 (char 13)"),
        (b'{"tags": ["x",]}', "Expecting value: line 1 column 15 (char 14)"),
        (b'{"name": "x"} trailing', "Extra data: line 1 column 15 (char 14)"),
        (b"{'name': 'x'}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b'{"name": "\n"}', "Invalid control character at: line 1 column 11 (char 10)"),
        (b'{"name": "\\x"}', "Invalid \\escape: line 1 column 11 (char 10)"),
        (b"   ", "Expecting value: line 1 column 4 (char 3)"),
        # What Python's own parser would accept, but is no JSON or has no UTF-8.
        (b'{"name": NaN}', None),
        (b'{"name": -Infinity}', None),
        (b'{"name": "\\ud800"}', None),
        (b'{"name": "\xff"}', None),
        (b'\xef\xbb\xbf{"name": "x"}', None),
        ('{"name": "x"}'.encode("utf-16"), None),
        (b"\x00", None),
        (b'{"name": 1e}', None),
        (b"name=x&slug=y", None),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000, None),
        (b'{"config": ' + b"[" * 500 + b"]" * 500 + b"}", None),
    ]:
        for path, (detail_path, _) in objects.items():
            for method, url in (("POST", path), ("PUT", detail_path), ("PATCH", detail_path)):
                answer = send(method, url, body)
                assert answer.status_code == 400, (method, url, body[:30])
                assert list(answer.json) == ["detail"]
                assert answer.json["detail"].startswith("JSON parse error - ")
                if detail is not None:
                    assert answer.json["detail"] == f"JSON parse error - {detail}"
    assert send("POST", TOKEN, b"{").status_code == 400


def test_json_that_is_no_object_is_answered_with_what_it_is(send, objects, unchanged):
    unchanged()
    for body, message in [
        (b'["a"]', "Invalid data. Expected a dictionary, but got list."),
        (b'"text"', "Invalid data. Expected a dictionary, but got str."),
        (b"17", "Invalid data. Expected a dictionary, but got int."),
        (b"1.5", "Invalid data. Expected a dictionary, but got float."),
        (b"true", "Invalid data. Expected a dictionary, but got bool."),
        (b"null", "No data provided"),
    ]:
        for path, (detail_path, _) in objects.items():
            for method, url in (("POST", path), ("PUT", detail_path), ("PATCH", detail_path)):
                answer = send(method, url, body)
                assert (answer.status_code, answer.json) == (400, {"non_field_errors": [message]})


def test_an_empty_body_lacks_what_is_required_and_changes_nothing(send, objects, unchanged):
    unchanged()
    required = ["This field is required."]
    for content_type in (
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/x",
        None,
    ):
        for body in (b"", b"{}") if content_type in ("application/json", None) else (b"",):
            for path, names in [
                (f"{API}template/", ["name", "backend"]),
                (f"{API}device/", ["name", "organization", "mac_address"]),
                (ORGANIZATIONS, ["name", "slug"]),
                (TOKEN, ["username", "password"]),
            ]:
                answer = send("POST", path, body, content_type)
                assert (answer.status_code, answer.json) == (400, dict.fromkeys(names, required))
            for path, names in [(f"{API}template/", ["name", "backend"]), (ORGANIZATIONS, ["name", "slug"])]:
                answer = send("PUT", objects[path][0], body, content_type)
                assert (answer.status_code, answer.json) == (400, dict.fromkeys(names, required))


def test_other_media_types_are_refused_by_name(send, objects, unchanged):
    unchanged()
    for content_type, named in [
        ("text/plain", "text/plain"),
        ("application/xml; charset=utf-8", "application/xml"),
        ("text/json", "text/json"),
        ("application/json-patch+json", "application/json-patch+json"),
        ("nonsense", "nonsense"),
        ("application/octet-stream", "application/octet-stream"),
    ]:
        for path, (detail_path, _) in objects.items():
            for method, url in (("POST", path), ("PUT", detail_path), ("PATCH", detail_path), ("POST", TOKEN)):
                answer = send(method, url, b"<a/>", content_type)
                assert answer.status_code == 415, (content_type, answer.text)
                assert answer.json == {"detail": f'Unsupported media type "{named}" in request.'}


def test_json_is_json_whatever_the_case_and_the_parameters_of_its_type(send, objects):
    for number, content_type in enumerate(("application/JSON", "application/json; charset=utf-8", "application/json;")):
        body = json.dumps({"name": "x", "slug": f"x{number}"}).encode()
        assert send("POST", ORGANIZATIONS, body, content_type).status_code == 201, content_type


def test_forms_that_cannot_be_read_are_refused(send, objects, unchanged):
    unchanged()
    multipart = "multipart/form-data; boundary=x"
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    urlencoded = "application/x-www-form-urlencoded"
    for content_type, body in [
        ("multipart/form-data", part % (b"name", b"x") + b"--x--\r\n"),
        ("multipart/form-data; boundary=", part % (b"name", b"x") + b"--x--\r\n"),
        ("multipart/form-data; boundary=" + "x" * 1000, b"--x--\r\n"),
        (multipart, b"not multipart at all"),
        (multipart, part % (b"name", b"\xff") + b"--x--\r\n"),
        (multipart, part % (b"n\xffame", b"x") + b"--x--\r\n"),
        (multipart, part % (b"name", b"x")),
        (multipart, b"--x\r\n\r\n\r\n--x--\r\n"),
        (urlencoded, b"name=%ff&slug=x"),
        (urlencoded, b"%ff=x"),
        (urlencoded, b"\xff\xfe"),
        (urlencoded, b"a" * 5000),
        (urlencoded + "; charset=bogus", b"name=x"),
        (urlencoded + "; charset=utf-16", b"name=x"),
        (urlencoded + "; charset=latin-1", b"name=\xfc"),
        (multipart + "; charset=bogus", part % (b"name", b"x") + b"--x--\r\n"),
        (urlencoded, b"config=text&config.backend=x"),
        (urlencoded, b"config.backend=x&config=text"),
        (urlencoded, b"owner=text&owner.organization_user=x"),
        (urlencoded, b".=x&..=y&.a.=z"),
        (urlencoded, b".".join([b"a"] * 5000) + b"=x"),
        (urlencoded, b"name=" + b"x" * 1000 + b"&" + b"&".join(b"k%d=" % n for n in range(2000))),
    ]:
        for path, (detail_path, _) in objects.items():
            for method, url in (("POST", path), ("PUT", detail_path)):
                answer = send(method, url, body, content_type)
                assert answer.status_code in (400, 415), (content_type, body[:60], answer.text)
                assert answer.json


@pytest.mark.parametrize("changes", [{"max_body_size": 2000}])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(send, app, admin, runtime, organization, unchanged):
    unchanged()
    large = json.dumps({"name": "x", "slug": "x", "description": "x" * 2000}).encode()
    too_large = {"detail": "The request body is too large."}
    for url in (ORGANIZATIONS, TOKEN, f"{API}device/"):
        answer = send("POST", url, large)
        assert (answer.status_code, answer.json) == (413, too_large)
    # Nobody has to say who they are to be told that.
    assert app.post(ORGANIZATIONS, large, status=413).json == too_large


@pytest.mark.parametrize("changes", [{"max_body_size": 2000}])
def test_a_body_of_unknown_length_may_not_be_larger_either(app, admin, runtime, unchanged):
    """Granian and waitress hand chunked bodies over without a length."""
    unchanged()
    large = json.dumps({"name": "x", "slug": "x", "description": "x" * 2000}).encode()
    assert chunked(app, admin, large)[0] == 413


def test_a_body_of_unknown_length_is_read_to_its_end(app, admin):
    status, body = chunked(app, admin, json.dumps({"name": "x", "slug": "x", "description": "ü" * 50_000}).encode())
    assert status == 201
    assert len(json.loads(body)["description"]) == 50_000


def chunked(app, admin, body):
    environ = wsgi_environ(admin, body)
    del environ["CONTENT_LENGTH"]
    return call(app, environ)


def test_a_length_that_is_not_that_of_the_body_is_no_reason_to_fall_over(app, admin, runtime, unchanged):
    unchanged()
    for length in ("1000", "-1", "abc", "1e3", "", "0x10", " 7 ", "9" * 40):
        status, _ = call(app, wsgi_environ(admin, b'{"name": "x"}') | {"CONTENT_LENGTH": length})
        assert 400 <= status < 500, length


def wsgi_environ(admin, body):
    """A request as servers make it, to send what WebTest would put right."""
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": ORGANIZATIONS,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": f"Bearer {admin.token}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def call(app, environ):
    """Call the application itself. Returns the status and the body."""
    statuses = []
    body = app.app(environ, lambda status, headers, exc_info=None: statuses.append(int(status.split()[0])))
    try:
        return statuses[0], b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


# Wrong types in every field

JUNK = {
    "null": None,
    "true": True,
    "zero": 0,
    "number": 7,
    "negative": -3,
    "huge": 10**30,
    "too huge": -(10**4000),
    "float": 1.5,
    "tiny": 5e-324,
    "blank": "",
    "spaces": "  \t ",
    "word": "word",
    "long": "x" * 100_000,
    "nul": "a\0b",
    "control": "a\x1b\x07b",
    "line": "a\nb",
    "emoji": "😀" * 3,
    "right to left": "\u202eabc",
    "quote": "'; DROP TABLE device; --",
    "markup": "<script>{{ 7*7 }}</script>",
    "list": [],
    "list of null": [None],
    "list of lists": [[[]]],
    "object": {},
    "deep": {"a": {"b": {"c": [1, {"d": None}]}}},
    "nul in object": {"a\0": "b\0"},
    "huge in object": {"a": [2**64], "b": 1e308},
    "unknown": "00000000-0000-4000-8000-00000000dead",
    "upper": "ABCDEF00-0000-4000-8000-00000000DEAD",
}

NUMBERS = {"zero", "number", "negative", "float", "tiny"}
LINES = NUMBERS | {"word", "control", "line", "emoji", "right to left", "quote", "markup", "unknown", "upper"}
TEXT = LINES | {"blank", "spaces", "long"}
OBJECTS = {"object", "deep", "nul in object"}
EMPTY_OBJECTS = OBJECTS | {"blank", "zero", "list"}
BOOLEANS = {"true", "zero"}

# What each field accepts of it; all else must be refused under its name.
ACCEPTED = {
    f"{API}template/": {
        "name": LINES,
        "organization": {"null", "blank"},
        "type": set(),
        "backend": set(),
        "vpn": {"null", "blank"},
        "default": BOOLEANS,
        "required": BOOLEANS,
        "notes": TEXT,
        "default_values": EMPTY_OBJECTS,
        "config": {"deep", "nul in object"},
    },
    f"{API}device/": {
        "name": {"number", "zero", "float", "tiny", "word", "unknown", "upper"},
        "organization": set(),
        "group": {"null", "blank"},
        "mac_address": set(),
        "key": TEXT - {"long", "float", "line", "markup", "quote"},
        "last_ip": {"null", "blank", "spaces"},
        "management_ip": {"null", "blank", "spaces"},
        "model": TEXT - {"long"},
        "os": TEXT - {"long"},
        "system": TEXT - {"long"},
        "notes": TEXT,
        "config": set(),
        "config.backend": set(),
        "config.templates": {"list"},
        "config.context": EMPTY_OBJECTS,
        "config.config": OBJECTS,
    },
    ORGANIZATIONS: {
        "name": LINES,
        "slug": {"number", "zero", "negative", "tiny", "word", "unknown", "upper"},
        "is_active": BOOLEANS,
        "description": TEXT,
        "email": {"blank", "spaces"},
        "url": {"blank", "spaces"},
        "owner": {"null"},
        "owner.organization_user": {"null", "blank"},
    },
}


def with_field(body, field, value):
    parent, _, child = field.rpartition(".")
    return body | {parent: body.get(parent, {}) | {child: value}} if parent else body | {field: value}


def error_of(errors, field):
    """The messages about a field, and whether there are no others."""
    for step in field.split("."):
        assert isinstance(errors, dict), errors
        # What is wrong with the object as a whole is said of the whole.
        key = step if step in errors else next((each for each in ("__all__", "non_field_errors") if each in errors), "")
        assert list(errors) == [key], (field, errors)
        errors = errors[key]
        if isinstance(errors, list):
            break
    return errors


# What a database may see otherwise than another; the rest is refused, or accepted, long before.
DELICATE = {
    "nul",
    "nul in object",
    "long",
    "control",
    "emoji",
    "right to left",
    "float",
    "tiny",
    "huge in object",
    "deep",
}


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_field_refuses_what_it_cannot_hold_under_its_own_name(send, objects, runtime, collection):
    _, body = objects[collection]
    before = everything(runtime)
    wrong = {}
    sent = {name: JUNK[name] for name in JUNK if runtime.engine.dialect.name == "sqlite" or name in DELICATE}
    for field, expected in ACCEPTED[collection].items():
        accepted = set()
        for name, value in sent.items():
            answer = send("POST", collection, json.dumps(with_field(body, field, value)).encode())
            assert answer.status_code in (201, 400), (field, name, answer.text)
            if answer.status_code == 201:
                accepted.add(name)
                created = f"{collection}{answer.json['id']}/"
                assert send("GET", created).json["id"] == answer.json["id"]
                assert send("DELETE", f"{created}?force=true").status_code == 204
            elif "detail" not in answer.json:
                messages = error_of(answer.json, field)
                assert messages, (field, name)
        if accepted != expected & sent.keys():
            wrong[field] = {"accepted": accepted - expected, "refused": (expected & sent.keys()) - accepted}
    assert wrong == {}
    after = everything(runtime)
    # A required template that came and went has left these behind.
    for counted in ("config_state", "job"):
        after[counted] = before[counted]
    assert after == before


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_wrong_field_spoils_the_whole_change(send, objects, collection, runtime):
    """PUT and PATCH: what is right beside it is not stored either."""
    detail_path, body = objects[collection]
    before = everything(runtime)
    for field, expected in ACCEPTED[collection].items():
        for name in sorted({"true", "list of lists", "nul", "long", "huge"} - expected):
            for method, base in (("PUT", body), ("PATCH", {"name": "changed"})):
                if method == "PATCH" and field == "name":
                    base = {"notes": "changed", "description": "changed"}
                answer = send(method, detail_path, json.dumps(with_field(base, field, JUNK[name])).encode())
                assert answer.status_code == 400, (method, field, name, answer.text)
                assert "detail" in answer.json or error_of(answer.json, field)
    assert everything(runtime) == before


def test_the_last_of_two_equal_keys_counts_and_unknown_ones_do_not(send):
    body = b'{"name": "first", "name": "last", "slug": "x", "__class__": {"a": 1}, "id": 7, "": null, "name ": 1}'
    answer = send("POST", ORGANIZATIONS, body)
    assert (answer.status_code, answer.json["name"]) == (201, "last")


def test_very_many_and_very_deep_values_are_stored_or_refused_but_never_lost(send, objects, admin, organization):
    device_path, _ = objects[f"{API}device/"]

    def nested(depth):
        value = "bottom"
        for _ in range(depth):
            value = {"d": value}
        return value

    for context in ({str(n): n for n in range(5000)}, {"list": list(range(20_000))}, nested(90)):
        body = {"config": {"context": context}}
        assert send("PATCH", device_path, json.dumps(body).encode()).status_code == 200
        assert send("GET", device_path).json["config"]["context"] == context
    answer = send("PATCH", device_path, json.dumps({"config": {"context": nested(200)}}).encode())
    assert answer.status_code == 400
    assert answer.json == {"detail": "JSON parse error - nested deeper than 100 levels"}
    many = send("PATCH", device_path, json.dumps({"config": {"templates": [str(uuid4())] * 2000}}).encode())
    assert many.status_code == 400
    distinct = send(
        "PATCH", device_path, json.dumps({"config": {"templates": [str(uuid4()) for _ in range(40_000)]}}).encode()
    )
    assert distinct.status_code == 400
    assert list(distinct.json["config"]) == ["templates"]


# Addresses


def test_ids_of_the_wrong_form_are_found_nowhere(send, objects):
    some = str(uuid4())
    wrong = [
        "1",
        "x",
        some.upper(),
        some[:-1],
        some + "0",
        "{" + some + "}",
        some.replace("-", ""),
        "%00",
        "..",
        "%2e%2e",
    ]
    wrong += [some.replace("4", "%D9%A4"), "-" * 36, "null", "%F0%9F%98%80", some + "%0a", "a" * 5000, f"{some}/x"]
    for path in COLLECTIONS:
        for id in wrong:
            for method in ("GET", "PATCH", "DELETE"):
                answer = send(method, f"{path}{id}/", b"{}")
                assert answer.status_code == 404, (method, path, id, answer.text)
                assert answer.json == NOT_FOUND
    for id in wrong:
        for action in ("configuration", "activate", "deactivate", "state"):
            assert send("GET", f"{API}device/{id}/{action}/").status_code == 404


def test_unknown_ids_are_found_nowhere_whatever_the_body(send, objects, unchanged):
    unchanged()
    for path, kind in zip(COLLECTIONS, ("Template", "Device", "Organization"), strict=True):
        missing = {"detail": f"No {kind} matches the given query."}
        for method, body in [("GET", b""), ("PUT", b"{}"), ("PUT", b"{"), ("PATCH", b"[]"), ("DELETE", b"")]:
            answer = send(method, f"{path}{uuid4()}/", body)
            assert (answer.status_code, answer.json) == (404, missing)
    for method, action in [("POST", "activate"), ("POST", "deactivate"), ("GET", "configuration"), ("GET", "state")]:
        answer = send(method, f"{API}device/{uuid4()}/{action}/")
        assert (answer.status_code, answer.json) == (404, {"detail": "No Device matches the given query."})


def test_what_is_not_there_is_json_under_api_and_a_page_elsewhere(send):
    for path in ("/api/", "/api/v1/", "/api/v2/controller/device/", f"{API}nothing-here/", "/api/v1/users/"):
        answer = send("GET", path)
        assert (answer.status_code, answer.json) == (404, NOT_FOUND)
    for path in ("/nothing", "/static/../../etc/passwd", "/api"):
        answer = send("GET", path)
        assert (answer.status_code, answer.content_type) == (404, "text/html")


def test_addresses_that_are_no_utf_8_are_refused(send):
    for path in ("/%ff", "/api/%ff/", f"{API}device/%ff/", f"{API}%c3%28/", "/controller/checksum/%ff/"):
        answer = send("GET", path)
        assert answer.status_code in (400, 404), path


def test_query_strings_may_hold_anything(send, objects):
    long = "x" * 20_000
    for query in (
        "name=%ff",
        "%ff=x",
        "page=%ff",
        "format=%ff",
        "name=%00",
        "mac_address=%00",
        "page=%00",
        "name=" + long,
        "name=%25" + "%25" * 1000,
        "name=" + "%5C" * 999,
        "page=1&page=2&page=x",
        "page_size=" + "9" * 5000,
        "page=" + "9" * 5000,
        "page=9223372036854775808",
        "page=1000000000&page_size=100",
        "page=-0",
        "page=%20%31",
        "page[]=1",
        "&&&===;;;",
        "name=a&name=b",
        "=",
        "name=%",
        "name=%zz",
        "name=%f0%9f%98%80",
    ):
        for path in COLLECTIONS:
            answer = send("GET", f"{path}?{query}")
            assert answer.status_code in (200, 400, 404), (path, query[:50], answer.text)
            assert answer.json
            head = send("HEAD", f"{path}?{query}")
            assert head.status_code == answer.status_code


def test_a_missing_slash_is_redirected_for_reading_and_served_for_writing(send, app, objects, unchanged):
    unchanged()
    detail_path, _ = objects[f"{API}device/"]
    for path in (f"{API}device/", f"{API}template/", ORGANIZATIONS, detail_path, f"{detail_path}configuration/"):
        answer = send("GET", path[:-1] + "?page=1&x=%C3%BC")
        assert (answer.status_code, answer.headers["Location"]) == (301, path + "?page=1&x=%C3%BC")
        assert send("HEAD", path[:-1]).status_code == 301
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            # A client that is redirected would lose its body, so these are answered as if the slash were there.
            answers = [send(method, each, b"{}") for each in (path[:-1], path)]
            assert answers[0].status_code == answers[1].status_code in (400, 403, 405, 200)
            if method == "PATCH" and answers[0].status_code == 200:
                continue
            assert answers[0].body == answers[1].body
    for path in ("//evil.example/", f"{API}//device", "/\\evil.example"):
        assert not send("GET", path).headers.get("Location", "/x").startswith(("//", "/\\", "http"))


# Methods and negotiation

DETAIL = "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
LIST = "GET, HEAD, OPTIONS, POST"
ROUTES = {
    # path: (methods that it lacks, Allow)
    "device/": (("PUT", "PATCH", "DELETE"), LIST),
    "template/": (("PUT", "PATCH", "DELETE"), LIST),
    "/api/v1/users/organization/": (("PUT", "PATCH", "DELETE"), LIST),
    "device/{id}/": (("POST",), DETAIL),
    "template/{id}/": (("POST",), DETAIL),
    "/api/v1/users/organization/{id}/": (("POST",), DETAIL),
    "device/{id}/configuration/": (("POST", "PUT", "PATCH", "DELETE"), "GET, HEAD, OPTIONS"),
    "template/{id}/configuration/": (("POST", "PUT", "PATCH", "DELETE"), "GET, HEAD, OPTIONS"),
    "device/{id}/state/": (("POST", "PUT", "PATCH", "DELETE"), "GET, HEAD, OPTIONS"),
    "device/{id}/activate/": (("GET", "HEAD", "PUT", "PATCH", "DELETE"), "OPTIONS, POST"),
    "device/{id}/deactivate/": (("GET", "HEAD", "PUT", "PATCH", "DELETE"), "OPTIONS, POST"),
}


def test_wrong_methods_are_told_the_right_ones_and_strangers_that_they_are_strangers(
    admin, operator, anonymous, unchanged
):
    unchanged()
    missing = {"detail": "Authentication credentials were not provided."}
    for path, (methods, allowed) in ROUTES.items():
        url = path.format(id=uuid4())
        for method in (*methods, "FOO", "TRACE"):
            for client in (admin, operator):
                answer = bare(client, method, url)
                assert (answer.status_code, answer.headers["Allow"]) == (405, allowed), (method, path)
                if method != "HEAD":
                    assert answer.json == {"detail": f'Method "{method}" not allowed.'}
            answer = bare(anonymous, method, url)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            if method != "HEAD":
                assert answer.json == missing
        options = bare(operator, "OPTIONS", url)
        assert (options.status_code, options.headers["Allow"]) == (200, allowed)
        assert list(options.json)[:4] == ["name", "description", "renders", "parses"]
        assert bare(anonymous, "OPTIONS", url).status_code == 401


def bare(client, method, path):
    """A request without a body, by a method that WebTest may not know."""
    headers = {"Authorization": f"Bearer {client.token}"} if client.token else {}
    url = path if path.startswith("/") else API + path
    return TestApp(client.app.app, lint=False).request(url, method=method, headers=headers, status="*")


def test_json_is_what_there_is_and_who_wants_something_else_is_told(send, anonymous, admin):
    for accept in (
        "*/*",
        "application/json",
        "application/*",
        "application/json;q=0.5, text/csv",
        "text/html;q=0.5, */*;q=0.8",
        "APPLICATION/JSON",
        "application/json; indent=4",
        "nonsense",
        "",
        ",",
        ";;;",
    ):
        answer = send("GET", f"{API}template/", Accept=accept)
        assert (answer.status_code, answer.content_type) == (200, "application/json"), accept
    for accept in ("application/xml", "text/csv;q=0.5, image/*", "application/json;q=0", "text/csv, image/png"):
        for method in ("GET", "POST"):
            answer = send(method, f"{API}template/", b"{}", Accept=accept)
            assert answer.status_code == 406, accept
            assert answer.json == {"detail": "Could not satisfy the request Accept header."}
    assert send("GET", f"{API}template/?format=json").status_code == 200
    assert send("GET", f"{API}template/?format=json", Accept="application/xml").status_code == 200
    for format in ("xml", "JSON", "", "json%20", "../json"):
        answer = send("GET", f"{API}template/?format={format}")
        if format:
            assert (answer.status_code, answer.json) == (404, NOT_FOUND)
    answer = admin.app.get(f"{API}template/", headers={"Accept": "application/xml"}, status=(401, 406))
    assert list(answer.json) == ["detail"]


def test_a_body_where_none_belongs_is_ignored(send, objects):
    for path, (detail_path, _) in objects.items():
        for url in (path, detail_path):
            assert send("GET", url, b"{broken").status_code == 200
            assert send("GET", url, b"x", "text/weird").status_code == 200
    detail_path, _ = objects[f"{API}device/"]
    assert send("POST", f"{detail_path}deactivate/", b"{broken").status_code == 200
    assert send("DELETE", f"{detail_path}?force=true", b"{broken").status_code == 204


# Fuzz

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["", "{{ name }}", "{{", "{% raw %}", "0", "true", OPENWRT, OPENWISP, "10.0.0.1", "aa:bb:cc:dd:ee:ff", "generic"]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS
KEYS = st.sampled_from(
    [
        *("name", "type", "interfaces", "radios", "files", "general", "hostname", "timezone", "routes", "ip_rules"),
        *("dns_servers", "dns_search", "switch", "vlan", "led", "ntp", "server", "enabled", "addresses", "proto"),
        *("family", "address", "mask", "gateway", "mac", "mtu", "network", "wireless", "radio", "mode", "ssid"),
        *("encryption", "protocol", "cipher", "key", "channel", "channel_width", "phy", "driver", "path", "contents"),
        *("bridge_members", "openvpn", "wireguard", "vxlan", "zerotier", "config_name", "config_value", "tc_options"),
        *("backend", "templates", "context", "config", "owner", "organization_user"),
    ]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=12,
)
NETJSON = st.dictionaries(KEYS, st.lists(st.dictionaries(KEYS, JSON, max_size=5), max_size=2) | JSON, max_size=4)


def bodies(fields):
    """Some fields right, some wrong, some missing."""
    values = JSON | NETJSON
    return st.dictionaries(st.sampled_from(sorted(fields)), values, max_size=3)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_whatever_json_is_sent_the_answer_is_clear_and_a_refusal_changes_nothing(send, objects, runtime, collection):
    detail_path, body = objects[collection]
    names = {field.partition(".")[0] for field in ACCEPTED[collection]}
    rows = {"before": everything(runtime)}

    @hypothesis.settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=50,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        st.sampled_from([("POST", True), ("POST", False), ("PUT", True), ("PATCH", False)]),
        bodies(ACCEPTED[collection]),
    )
    def check(how, change):
        method, complete = how
        sent = body if complete else {}
        for field, value in change.items():
            if "." not in field or isinstance(sent.get(field.partition(".")[0], {}), dict):
                sent = with_field(sent, field, value)
        url = collection if method == "POST" else detail_path
        answer = send(method, url, json.dumps(sent).encode())
        assert answer.status_code in (200, 201, 400), (method, sent, answer.text)
        if answer.status_code == 400:
            assert answer.json.keys() <= names | {"__all__", "non_field_errors", "detail", "organization"}
            assert everything(runtime) == rows["before"]
            return
        read = send("GET", f"{collection}{UUID(answer.json['id'])}/")
        assert read.status_code == 200
        if method == "POST":
            assert send("DELETE", f"{collection}{answer.json['id']}/?force=true").status_code == 204
        rows["before"] = everything(runtime)

    check()


def test_the_table_of_junk_is_json():
    assert all(math.isfinite(value) for value in JUNK.values() if isinstance(value, float))
    assert json.loads(json.dumps(JUNK)) == JUNK


@pytest.mark.parametrize("field", ["organization", "vpn", "config"])
def test_a_file_is_no_reference(admin, app, field):
    headers = {"Authorization": f"Bearer {admin.token}"}
    url = "/api/v1/controller/template/"
    answer = app.post(url, {"name": "x"}, upload_files=[(field, "x.txt", b"x")], headers=headers, status=400)
    assert field in answer.json


def test_a_list_of_references_has_a_limit_and_no_nulls(admin, organization):
    device = admin.make_device(organization)
    for templates in ([str(UUID(int=number)) for number in range(100_000)], [None]):
        errors = admin.patch(f"device/{device['id']}/", {"config": {"templates": templates}}, 400)
        assert errors["config"].keys() == {"templates"}


def test_a_web_site_with_control_characters_is_refused_and_any_other_fits_into_a_header(admin):
    body = {"name": "x", "slug": "x", "url": "http://example.com/\u0001"}
    assert admin.post("/api/v1/users/organization/", body, 400).keys() == {"url"}
    answer = admin.request("POST", "/api/v1/users/organization/", body | {"url": "http://example.com/☃?a=b#c"}, 201)
    assert answer.headers["Location"] == "http://example.com/%E2%98%83?a=b#c"
