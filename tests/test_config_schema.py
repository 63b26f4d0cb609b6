"""The schemas of backends, for editors of configurations."""

from guywire.testing.clients import OPENWRT

PATH = "/config/schema.json"


def test_whoever_is_logged_in_gets_the_schemas_of_all_backends(operator, anonymous, runtime, clock):
    assert anonymous.get(PATH, 403) == {"error": "login required"}
    since = clock.now.strftime("%a, %d %b %Y %H:%M:%S GMT")
    clock.advance(60)
    answer = operator.request("GET", PATH)
    assert answer.headers["Last-Modified"] == since
    registry = runtime.registry
    assert answer.json.keys() == registry.config_backends.keys() | registry.vpn_backends.keys()
    general = answer.json[OPENWRT]["properties"]["general"]["properties"]
    assert "timezone" in general
    assert "hostname" not in general
    assert "hostname" in registry.config_backends[OPENWRT].schema["properties"]["general"]["properties"]
    operator.request("GET", PATH, headers={"If-Modified-Since": since}, status=304)
