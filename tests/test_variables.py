"""Stories of variables: where a device has them from, and which of two of one name wins."""

from dataclasses import replace
from types import SimpleNamespace
from uuid import UUID

import pytest
from guywire.backends import register_config_backends
from guywire.db import writing
from guywire.models import Config, Device, OrganizationConfigSettings, Template
from guywire.renderer import Renderer
from guywire.services.context import device_context
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ("a", "b", "name", "id")
MAC = "00:11:22:33:44:55"
LAYER = st.dictionaries(st.sampled_from(NAMES), st.text(alphabet="xyz0é -", min_size=1, max_size=4))
BACKENDS = {backend.id: backend for backend in register_config_backends()}
OPENWRT = "netjsonconfig.OpenWrt"


@settings(deadline=None, max_examples=60)
@given(st.lists(LAYER, max_size=3), LAYER, LAYER, LAYER, LAYER)
def test_the_strongest_layer_that_names_a_variable_gives_its_value(defaults, everywhere, organization, group, own):
    device = Device(id=UUID(int=7), name="ap", mac_address=MAC, key="k")
    templates = [Template(default_values=values) for values in defaults]
    context = device_context(device, Config(context=own), templates, everywhere, organization, group)
    weak_to_strong = [*defaults, {"name": "ap", "id": str(device.id)}, everywhere, organization, group, own]
    contents = "".join(f"[{{{{ {name} }}}}]" for name in NAMES)
    config = {"files": [{"path": "/f", "mode": "0644", "contents": contents}]}
    registry = SimpleNamespace(config_backends=BACKENDS)
    [file] = Renderer(registry, everywhere).files(OPENWRT, config, context)
    values = []
    for name in NAMES:
        named = [layer[name] for layer in weak_to_strong if name in layer]
        # A variable that nobody names stays as it is written.
        values.append(named[-1] if named else f"{{{{ {name} }}}}")
    assert file.content.decode().rstrip("\n") == "".join(f"[{value}]" for value in values)


class TestOfADevice:
    """What the API tells of them."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, context={"from": "everywhere", "everywhere": 1})

    def test_the_system_gives_a_device_what_it_does_not_have_itself(
        self, admin, operator, organization, other_organization, runtime
    ):
        with writing(runtime.session_factory) as session:
            row = session.get_one(OrganizationConfigSettings, UUID(organization))
            row.context = {"from": "organization", "organization": [2]}
        group = {"name": "g", "organization": organization, "templates": [], "context": {"from": "group"}}
        group = admin.post("group/", group)
        template = admin.make_template(organization, default_values={"from": "template", "template": "t", "own": "t"})
        device = admin.make_device(organization, templates=[template["id"]], context={"own": {"x": None}})
        path = f"device/{device['id']}/"
        admin.patch(path, {"group": group["id"]})
        known = {"name": "router", "mac_address": device["mac_address"], "id": device["id"], "key": device["key"]}
        inherited = {"from": "group", "everywhere": 1, "organization": [2], "template": "t", "own": "t"}
        told = operator.get(f"{path}context/")
        assert told == {"system": known | inherited, "own": {"own": {"x": None}}}
        bare = admin.post("device/", {"name": "bare", "organization": other_organization, "mac_address": MAC})
        told = admin.get(f"device/{bare['id']}/context/")
        known = {"name": "bare", "mac_address": MAC, "id": bare["id"], "key": bare["key"]}
        assert told == {"system": known | {"from": "everywhere", "everywhere": 1}, "own": {}}
        missing = {"detail": "No Device matches the given query."}
        assert operator.get(f"device/{bare['id']}/context/", 404) == missing
