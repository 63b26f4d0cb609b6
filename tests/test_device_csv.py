"""Stories of CSV: devices leave as a file and come back, row by row, by the same rules as over the API."""

import csv
import io
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from guywire.cli import main
from guywire.db import writing
from guywire.models import Device, OrganizationConfigSettings
from guywire.services.device_csv import guarded, unguarded
from guywire.testing.clients import OPENWRT
from hypothesis import example, given, settings
from hypothesis import strategies as st

COLUMNS = [
    "name",
    "mac_address",
    "organization",
    "group",
    "model",
    "os",
    "system",
    "notes",
    "last_ip",
    "management_ip",
    "config_status",
    "config_backend",
    "config_data",
    "config_context",
    "config_templates",
    "created",
    "modified",
    "id",
    "key",
    "organization_id",
    "group_id",
]
URL = "/api/v1/controller/device/"
NOTHING = {"stored": True, "created": 0, "updated": 0, "unchanged": 0, "failed": 0, "rows": []}


def exported(client, **query):
    response = client.request("GET", "device/export/", query=query)
    assert response.content_type == "text/csv"
    assert response.headers["Content-Disposition"] == "attachment; filename=devices.csv"
    return response.body


def cells(body):
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


def imported(client, content, status=200, query=""):
    if isinstance(content, list):
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, content[0])
        writer.writeheader()
        writer.writerows(content)
        content = buffer.getvalue()
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "text/csv"}
    body = content if isinstance(content, bytes) else content.encode()
    return client.app.post(f"{URL}import/{query}", body, headers=headers, status=status).json


@pytest.fixture
def fleet(admin, organization):
    """A device with all that there is, and a bare one."""
    template = admin.make_template(organization)
    group = admin.post("group/", {"name": "g, with a comma", "organization": organization, "templates": []})
    rich = admin.make_device(
        organization, "rich", context={"b": "1", "a": "é"}, templates=[template["id"]], config={"general": {"x": 1}}
    )
    odd = {"notes": 'two\r\nlines, "quoted"', "model": "=cmd|' /C calc'!A0", "os": "'=1", "management_ip": "10.0.0.1"}
    admin.patch(f"device/{rich['id']}/", odd | {"group": group["id"]})
    bare = admin.post(
        "device/", {"name": "bare", "organization": organization, "mac_address": "00:00:00:00:00:02", "notes": "'"}
    )
    return admin.get(f"device/{rich['id']}/"), bare


def row(organization, number=1, **fields):
    return {
        "name": f"ap-{number}",
        "mac_address": f"00:00:00:00:01:{number:02x}",
        "organization_id": organization,
    } | fields


# Out


def test_an_export_has_the_references_columns_and_what_the_api_shows(admin, fleet):
    rich, _ = fleet
    body = exported(admin)
    assert next(csv.reader(io.StringIO(body.decode()))) == COLUMNS
    by_name = {each["name"]: each for each in cells(body)}
    assert by_name["rich"] == {
        "name": "rich",
        "mac_address": "00:11:22:33:44:55",
        "organization": "org1",
        "group": "g, with a comma",
        # No spreadsheet shall calculate what a router says of itself.
        "model": "'=cmd|' /C calc'!A0",
        "os": "''=1",
        "system": "",
        "notes": 'two\r\nlines, "quoted"',
        "last_ip": "",
        "management_ip": "10.0.0.1",
        "config_status": "modified",
        "config_backend": OPENWRT,
        "config_data": '{"general":{"x":1}}',
        "config_context": '{"b":"1","a":"é"}',
        "config_templates": rich["config"]["templates"][0],
        "created": "2026-01-01T12:00:00+00:00",
        "modified": "2026-01-01T12:00:00+00:00",
        "id": rich["id"],
        "key": rich["key"],
        "organization_id": rich["organization"],
        "group_id": rich["group"],
    }
    assert {name for name, cell in by_name["bare"].items() if not cell} >= set(COLUMNS[10:15])
    assert by_name["bare"]["notes"] == "'"


def test_an_export_shows_what_the_list_would_show(admin, operator, other_organization, fleet, clock):
    clock.advance(1)
    admin.make_device(other_organization, "foreign")
    assert cells(exported(admin))[0]["name"] == "foreign"
    assert {each["name"] for each in cells(exported(operator))} == {"rich", "bare"}
    assert [each["name"] for each in cells(exported(admin, config__status="modified", organization_slug="org1"))] == [
        "rich"
    ]
    wrong = admin.get("device/export/", 400, config__status="odd")
    assert list(wrong) == ["config__status"]
    operator.get("device/export/", 400, organization=other_organization)


def test_a_large_export_is_read_piece_by_piece(admin, organization, runtime, clock):
    count = 1234
    with writing(runtime.session_factory) as session:
        session.execute(
            sa.insert(Device),
            [
                {"id": uuid4(), "name": f"ap-{n}", "organization_id": UUID(organization), "mac_address": f"{n}",
                 "mac_normalized": f"{n}", "key": f"key-{n}", "created": clock(), "modified": clock()}
                for n in range(count)
            ],
        )  # fmt: skip
    names = [each["name"] for each in cells(exported(admin))]
    assert len(names) == len(set(names)) == count


# In


def test_what_is_exported_can_be_imported_again_and_changes_nothing(admin, fleet, clock):
    body = exported(admin)
    clock.advance(1)
    report = imported(admin, body)
    assert report == NOTHING | {"unchanged": 2, "rows": report["rows"]}
    assert exported(admin) == body
    # Gone and imported: the same devices, with their ids and keys.
    for device in fleet:
        admin.delete(f"device/{device['id']}/?force=true")
    report = imported(admin, body)
    assert report == NOTHING | {"created": 2, "rows": report["rows"]}
    times = ("created", "modified")
    again, before = cells(exported(admin)), cells(body)
    for each in (*again, *before):
        for name in times:
            del each[name]
    assert sorted(again, key=str) == sorted(before, key=str)


def test_rows_make_and_change_devices_and_are_reported_one_by_one(admin, organization, fleet, clock):
    rich, bare = fleet
    template = rich["config"]["templates"][0]
    clock.advance(1)
    content = (
        "id,name,mac_address,organization_id,model,config_context,config_templates\n"
        f",ap-1,00:00:00:00:01:01,{organization},m,,\n"
        "\n"
        f',ap-2,00:00:00:00:01:02,{organization},m,"{{""a"": 1}}",{template}\n'
        f'{bare["id"]},renamed,00:00:00:00:00:02,,"two\nlines",,\n'
    )
    report = imported(admin, b"\xef\xbb\xbf" + content.encode())
    assert {key: report[key] for key in NOTHING if key != "rows"} == {
        "stored": True, "created": 2, "updated": 1, "unchanged": 0, "failed": 0,
    }  # fmt: skip
    assert [(each["line"], each["result"], each["name"], each["errors"]) for each in report["rows"]] == [
        (2, "created", "ap-1", {}),
        (4, "created", "ap-2", {}),
        (5, "updated", "renamed", {}),
    ]
    first, second, third = (admin.get(f"device/{each['id']}/") for each in report["rows"])
    assert first["config"] is None
    assert (second["config"]["context"], second["config"]["backend"]) == ({"a": 1}, OPENWRT)
    assert second["config"]["templates"] == [template]
    detail = admin.get(f"device/{bare['id']}/")
    assert third == detail | {"name": "renamed", "model": "two\nlines", "modified": "2026-01-01T12:00:01.000002Z"}
    assert [each["name"] for each in admin.get("device/")["results"]][:2] == ["ap-2", "ap-1"]


def test_all_or_nothing_unless_partial_is_asked_for(admin, organization, other_organization, fleet):
    rich, _ = fleet
    before = exported(admin)
    rows = [
        row(organization, 1) | {"id": "", "group_id": "", "config_backend": "", "config_data": "", "key": ""},
        row(organization, 2, mac_address="no address", name="-"),
        row(organization, 3, name="ap-1"),
        row(str(uuid4()), 4, group_id="x"),
        row(organization, 5, config_data="{", id=""),
        row(organization, 6, config_backend="odd"),
        row(organization, 7, config_data='{"interfaces": [{"name": "eth0"}]}'),
        row(organization, 8, id="no id"),
        row(organization, 9, key=rich["key"]),
        row(other_organization, 10, group_id=rich["group"]),
    ]
    report = imported(admin, rows, 400)
    assert (report["stored"], report["created"], report["failed"]) == (False, 1, 9)
    errors = {each["line"]: each["errors"] for each in report["rows"]}
    assert errors[3] == {
        "name": ["Must be either a valid hostname or mac address."],
        "mac_address": ["Must be a valid mac address."],
    }
    assert errors[4] == {"__all__": ["Device with this Name and Organization already exists."]}
    assert errors[5].keys() == {"organization_id", "group_id"}
    assert errors[6] == {"config_data": ["Value must be valid JSON."]}
    assert errors[7] == {"config_backend": ['"odd" is not a valid choice.']}
    assert "#/interfaces/0" in errors[8]["config_data"][0]
    assert errors[9] == {"id": ["“no id” is not a valid UUID."]}
    assert errors[10] == {"key": ["Device with this key already exists."]}
    assert errors[11].keys() == {"group_id"}
    assert exported(admin) == before
    rehearsed = imported(admin, rows, query="?dry_run=true")
    assert rehearsed == report
    assert exported(admin) == before
    kept = imported(admin, rows, query="?partial=true")
    assert kept == report | {"stored": True, "rows": kept["rows"]}
    assert kept["rows"][0].pop("id") != report["rows"][0].pop("id")
    assert kept["rows"] == report["rows"]
    assert len(cells(exported(admin))) == 3


def test_a_user_imports_what_they_could_post_and_patch(admin, operator, anonymous, organization, other_organization):
    foreign = admin.make_device(other_organization, "foreign")
    idle = admin.make_device(organization, "idle", "00:00:00:00:00:09")
    admin.post(f"device/{idle['id']}/deactivate/", status=200)
    rows = [
        row(organization, 1, id=""),
        row(other_organization, 2),
        row(organization, 3, id=foreign["id"]),
        row(organization, 4, id=idle["id"]),
    ]
    report = imported(operator, rows, query="?partial=1")
    assert [each["result"] for each in report["rows"]] == ["created", "failed", "failed", "failed"]
    assert [list(each["errors"]) for each in report["rows"][1:]] == [["organization_id"], ["id"], ["__all__"]]
    assert admin.get(f"device/{foreign['id']}/") == foreign
    app = operator.app
    app.post(f"{URL}import/", "name\n", headers={"Content-Type": "text/csv"}, status=401)


def test_the_limit_of_an_organization_holds_for_imports(admin, organization, runtime):
    with writing(runtime.session_factory) as session:
        session.get_one(OrganizationConfigSettings, UUID(organization)).device_limit = 2
    report = imported(admin, [row(organization, number) for number in (1, 2, 3)], query="?partial=true")
    assert [each["result"] for each in report["rows"]] == ["created", "created", "failed"]
    [message] = report["rows"][2]["errors"]["__all__"]
    assert message.startswith("The maximum amount of allowed devices")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_is_none_is_refused_with_the_place(admin, organization):
    for content, words in (
        (b"", "empty"),
        (b"name,mac\n", "line 1: unknown columns: 'mac'"),
        (b"name,name\n", "line 1: a column occurs twice"),
        (b"name\n\xff\n", "not UTF-8 (at byte 5)"),
        (b'name,notes\nap,"' + b"x" * (2**24 + 1) + b'"\n', "too large"),
        (b"name\n" + b"ap\n" * 1001, "?partial=true"),
    ):
        answer = imported(admin, content, "*")
        assert list(answer) in (["file"], ["detail"]), words
        assert words in str(answer)
    [failed] = imported(admin, "name,notes\nap\n", 400)["rows"]
    assert failed["errors"] == {"__all__": ["The row has 1 cells, the heading has 2."]}
    assert imported(admin, "name\n") == NOTHING
    assert admin.post("device/import/", {}, 400) == {"file": ["This field is required."]}
    assert list(admin.post("device/import/", {"file": 7}, 400)) == ["file"]
    headers = {"Authorization": f"Bearer {admin.token}"}
    admin.app.post(f"{URL}import/", "name\n", headers=headers | {"Content-Type": "text/html"}, status=415)
    # A form with a file, as browsers send it; a spreadsheet's opinion of what separates cells.
    file = f"name;mac_address;organization_id\nap;00:00:00:00:01:01;{organization}\n".encode()
    upload = [("file", "devices.csv", file)]
    assert admin.app.post(f"{URL}import/", upload_files=upload, headers=headers).json["created"] == 1


@settings(deadline=None)
@given(st.text(alphabet="=+-@'\t\rab ", max_size=6))
@example("'''=")
def test_a_guarded_cell_is_no_formula_and_comes_back(text):
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))


# The command line


@pytest.fixture
def ini(settings, tmp_path):
    path = tmp_path / "guywire.ini"
    path.write_text(
        "[app:main]\nuse = egg:guywire\n"
        f"sqlalchemy.url = {settings.sqlalchemy_url.replace('%', '%%')}\nguywire.data_dir = {settings.data_dir}\n"
    )
    return str(path)


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["devices", *arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_the_command_line_exports_and_imports(admin, organization, fleet, ini, tmp_path, clock):
    file = tmp_path / "devices.csv"
    run("export", ini, str(file), "--organization", "org1")
    assert file.read_bytes() == exported(admin)
    assert run("export", ini).stdout_bytes == file.read_bytes()
    assert "no organization 'nobody'" in run("export", ini, "--organization", "nobody", code=1).stderr
    assert run("import", ini, str(file)).stdout == "created: 0, updated: 0, unchanged: 2, failed: 0\n"
    rows = [f"ap-{n},00:00:00:00:01:{n:02x},{organization},\n" for n in range(250)]
    rows[7] = f"ap 7,00:00:00:00:01:07,{organization},\n"
    file.write_text("name,mac_address,organization_id,id\n" + "".join(rows))
    rehearsal = run("import", ini, str(file), "--dry-run", code=1)
    assert rehearsal.stdout == "created: 249, updated: 0, unchanged: 0, failed: 1 (dry run: nothing is kept)\n"
    assert admin.get("device/")["count"] == 2
    report = run("import", ini, str(file), code=1)
    assert report.stdout == "created: 249, updated: 0, unchanged: 0, failed: 1\n"
    assert report.stderr == "line 9 (ap 7): name: Must be either a valid hostname or mac address.\n"
    assert admin.get("device/")["count"] == 251
    file.write_bytes(b"name\n\xff")
    assert "not UTF-8" in run("import", ini, str(file), code=1).stderr
    file.write_bytes(b"odd\n")
    assert "unknown columns: 'odd'" in run("import", ini, str(file), code=1).stderr


def test_who_accepts_nothing_but_csv_gets_it(admin, organization):
    admin.make_device(organization)
    answer = admin.request("GET", "device/export/", headers={"Accept": "text/csv"}, status=200)
    assert answer.content_type == "text/csv"
    for method, path, accept, status in (
        ("HEAD", "device/export/", "text/csv", 200),
        ("GET", "device/export/", "text/csv;q=0", 406),
        ("GET", "device/export/", "image/png", 406),
        ("GET", "device/", "text/csv", 406),
    ):
        admin.request(method, path, headers={"Accept": accept}, status=status)
