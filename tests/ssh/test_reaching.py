"""Which of a device's connections and addresses are tried, and what an agent is told, whatever its age."""

from dataclasses import replace
from uuid import UUID

import pytest
from guywire.db import writing
from guywire.interfaces import ConnectionFailed, ExecutionResult
from guywire.models import Device
from guywire_ssh_connection.connectors.ssh import Ssh
from guywire_ssh_connection.models import DeviceConnection
from guywire_ssh_connection.services.connecting import DEVICE_DEACTIVATED, NO_ADDRESS, Line
from guywire_ssh_connection.strategies import OpenWisp1, OpenWrt
from ssh_fleet import Host

SNMP = "openwisp_controller.connection.connectors.openwrt.snmp.OpenWRTSnmp"


@pytest.fixture
def device(admin, organization):
    """A device of the organization."""
    return admin.make_device(organization)


def line(runtime, device):
    return Line(runtime, UUID(device["id"]), lambda: None)


def change(runtime, model, id, **values):
    with writing(runtime.session_factory) as session:
        row = session.get_one(model, UUID(id))
        for name, value in values.items():
            setattr(row, name, value)


def reason(runtime, device, connection_id=None):
    with pytest.raises(ConnectionFailed) as failed:
        line(runtime, device).open(connection_id and UUID(connection_id))
    return str(failed.value)


def test_addresses_are_tried_in_their_order_and_the_last_one_only_if_that_is_wanted(fleet, runtime, device):
    host, _ = fleet.wire(runtime, device["id"])
    host.is_reachable = False
    fleet.hosts["192.0.2.7"] = away = Host()
    change(runtime, Device, device["id"], last_ip="192.0.2.7")
    assert reason(runtime, device) == "no route to 10.0.0.1"
    assert away.connects == 0
    wider = replace(runtime, settings=replace(runtime.settings, management_ip_only=False))
    assert line(wider, device).open().session.host is away
    change(runtime, Device, device["id"], management_ip=None)
    assert reason(runtime, device) == NO_ADDRESS
    change(runtime, Device, device["id"], is_deactivated=True, management_ip="10.0.0.1")
    host.is_reachable = True
    # Its configuration has not been emptied yet: it is still told of that.
    assert line(runtime, device).open().session.host is host


def test_a_device_that_is_out_of_service_is_not_connected_to(admin, fleet, runtime, device):
    fleet.wire(runtime, device["id"])
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    bare = admin.post(
        "device/", {"name": "b", "organization": device["organization"], "mac_address": "00:00:00:00:00:09"}
    )
    fleet.wire(runtime, bare["id"])
    admin.post(f"device/{bare['id']}/deactivate/", status=200)
    assert reason(runtime, bare) == DEVICE_DEACTIVATED


def test_what_worked_last_is_tried_first_and_what_is_switched_off_never(admin, fleet, runtime, device, organization):
    _, broken = fleet.wire(runtime, device["id"])
    _, untried = fleet.wire(runtime, device["id"])
    _, working = fleet.wire(runtime, device["id"])
    change(runtime, DeviceConnection, broken, is_working=False)
    change(runtime, DeviceConnection, working, is_working=True)
    body = {"name": "s", "organization": organization, "connector": SNMP, "params": {"community": "c", "agent": "a"}}
    snmp = {"credentials": admin.post("credential/", body)["id"]}
    snmp = admin.post(f"device/{device['id']}/connection/", snmp)["id"]
    order = []
    for expected in (working, untried, broken):
        opened = line(runtime, device).open()
        order.append(str(opened.connection_id))
        change(runtime, DeviceConnection, expected, enabled=False)
    assert order == [working, untried, broken]
    assert reason(runtime, device) == "The device has no connection that could be used."
    assert reason(runtime, device, snmp).startswith("No driver for SNMP is installed")
    shown = admin.get(f"device/{device['id']}/connection/{snmp}/")
    assert (shown["is_working"], shown["failure_reason"][:18]) == (False, "No driver for SNMP")


def test_one_connection_serves_for_all_and_is_made_anew_when_it_breaks(fleet, runtime, device):
    host, connection = fleet.wire(runtime, device["id"])
    visit = line(runtime, device)
    first = visit.open()
    assert visit.open(UUID(connection)) is visit.open() is first
    first.session.close()
    second = visit.open()
    assert (second is first, host.connects) == (False, 2)
    visit.close()
    assert not second.session.is_open


def test_a_device_may_have_parameters_of_its_own(admin, operator, fleet, runtime, device, organization):
    params = {"username": "root", "password": "s3cret-pass"}
    body = {"name": "c", "organization": organization, "connector": Ssh.id, "params": params}
    connections = f"device/{device['id']}/connection/"
    made = admin.post(connections, {"credentials": admin.post("credential/", body)["id"]})
    path = f"{connections}{made['id']}/params/"
    assert operator.get(path) == {"params": {}}
    own = {"params": {"port": 2222, "password": "an0ther-pass"}}
    assert operator.put(path, own) == operator.get(path) == own
    assert operator.put(path, {"params": {"port": 2223, "password": "********"}})["params"]["port"] == 2223
    assert operator.get(path)["params"]["password"] == "an0ther-pass"
    admin.put(path, {"params": {}})
    assert operator.put(path, {"params": {"password": "********"}}, 400) == {
        "params": ["password: ******** means that the secret stays as it is, and there is none."]
    }
    for wrong in ({"key": "x" * 64}, {"port": "x"}, {"unknown": 1}):
        assert "s3cret-pass" not in str(operator.put(path, {"params": wrong}, 400)["params"])
    assert operator.put(path, {"params": 7}, 400) == {"params": ["the supplied value is not a JSON object"]}
    host, connection = fleet.wire(runtime, device["id"])
    operator.put(f"{connections}{connection}/params/", {"params": {"port": 7}})
    line(runtime, device).open(UUID(connection))
    assert host.params == {"port": 7}


class Agent:
    """A session whose commands have answers prepared."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.told = []

    def execute(self, command):
        self.told.append(command)
        return self.answers.pop(0)


def said(output="", status=0, errors=""):
    return ExecutionResult(status, output, errors)


def test_an_agent_is_woken_as_its_age_demands():
    new = Agent(said("openwisp-config 0.6.0a\n"), said())
    OpenWrt().update(new)
    assert "kill -USR1" in new.told[1]
    old = Agent(said("openwisp-config 0.5.0\n"), said(status=1), said())
    OpenWrt().update(old)
    assert old.told[2] == "/etc/init.d/openwisp_config restart"
    busy = Agent(said("openwisp-config 0.5.0\n"), said(status=0))
    OpenWrt().update(busy)
    assert len(busy.told) == 2
    for answers, why in (
        ([said(status=127)], "is it installed on the device"),
        ([said(status=2)], "^Unexpected exit code: 2$"),
        ([said("what?\n")], "does not tell its version"),
        ([said("v 1.0\n"), said("out", 1, "is not running\n")], "^is not running$"),
        ([said("v 1.0\n"), said("out\n", 1)], "^out$"),
    ):
        with pytest.raises(ConnectionFailed, match=why):
            OpenWrt().update(Agent(*answers))
    OpenWisp1().update(Agent())
