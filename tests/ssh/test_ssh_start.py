"""What is wrong with settings, or with what plugins contribute to connections, is said at the start."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from guywire import hookimpl
from guywire.app import create_app
from guywire.builtin import BUILTIN
from guywire.interfaces import CommandType
from guywire.plugin import PluginError
from guywire.runtime import create_runtime
from guywire.settings import SettingInvalid, Settings
from guywire.testing.databases import data_dir
from guywire_ssh_connection.settings import SSHSettings


@pytest.fixture
def settings():
    """Those of an application that never gets so far as to its database."""
    return Settings(sqlalchemy_url="sqlite://", data_dir=data_dir())


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "ssh_connection.command_timout",
            "5",
            r"no such setting; did you mean guywire\.ssh_connection\.command_timeout\?",
        ),
        ("ssh_connection.command_timeout", "soon", "'soon' is not a number"),
        ("ssh_connection.banner_timeout", "nan", "'nan' is not a number"),
        ("ssh_connection.connect_timeout", "0", "0.0 is too little"),
        ("ssh_connection.parallel_visits", "-1", "-1 is too little"),
        ("ssh_connection.output_limit", "1.5", "'1.5' is not a whole number"),
        ("ssh_connection.organization_commands", '{"__all__": 7}', r"__all__ has 7, which is neither"),
        ("ssh_conection.output_limit", "1", "there is no plugin 'ssh_conection'; did you mean 'ssh_connection'\\?"),
    ],
)
def test_a_setting_that_cannot_be_used_prevents_the_start_of_every_process(settings, key, value, words):
    given = Settings.from_mapping({f"guywire.{key}": value}, {})
    with pytest.raises(SettingInvalid, match=rf"^guywire\.{key}: {words}"):
        create_runtime(replace(settings, of_plugins=given.of_plugins), BUILTIN)


def test_a_worker_visits_as_many_devices_at_once_as_the_settings_say(settings):
    given = {"ssh_connection": {"parallel_visits": "7", "command_timeout": "90"}}
    runtime = create_runtime(replace(settings, of_plugins=given), BUILTIN)
    assert runtime.registry.jobs["ssh_visit"].parallel == 7
    assert SSHSettings.of(runtime.settings).limits.command == 90
    runtime.close()


def contribution(hook, **fields):
    return SimpleNamespace(**{hook: hookimpl(lambda: [SimpleNamespace(**fields)])})


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (contribution("register_connectors", id="lamp." + "x" * 130), "the connector .* has an id of 135 characters"),
        (contribution("register_update_strategies", id="x" * 129, config_backends=()), "strategy .*; 128 is the most"),
        (
            contribution("register_command_types", name="lamp.a_long_name_", label="", schema={}),
            "the command type 'lamp.a_long_name_' has a name of 17 characters; 16 is the most",
        ),
        (contribution("register_command_types", name="lamp", label="x" * 101, schema={}), "a label of 101 characters"),
        (
            contribution("register_command_types", name="lamp", label="", schema={"type": "lamp"}),
            "the command type 'lamp' has no JSON Schema",
        ),
    ],
)
def test_what_does_not_fit_into_the_tables_prevents_the_start(settings, plugin, words):
    with pytest.raises(PluginError, match=words):
        create_app(settings, plugins=[("lamp", plugin)])


def test_the_name_and_the_label_of_a_type_may_be_as_long_as_the_tables_allow(settings):
    longest = CommandType("x" * 16, "x" * 100, {"type": "null"}, lambda input: "")
    plugin = SimpleNamespace(register_command_types=hookimpl(lambda: [longest]))
    create_app(settings, plugins=[("lamp", plugin)]).registry.runtime.close()
