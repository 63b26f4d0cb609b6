"""How devices are told that their configuration has changed."""

from __future__ import annotations

import re

from guywire.interfaces import ConnectionFailed, DeviceSession, ExecutionResult, UpdateStrategy

_VERSION = "(openwisp-config --version || openwisp_config --version) 2>/dev/null"
_SIGNAL = (
    "PID=$(ps | grep openwisp | grep config | grep -v grep | awk '{print $1}' | head -n 1); "
    'test -n "$PID" || { echo "openwisp-config is not running" >&2; exit 1; }; '
    'kill -USR1 "$PID"'
)
_IS_APPLYING = "test -f /tmp/openwisp/applying_conf"
_RESTART = "/etc/init.d/openwisp_config restart"

_FIRST_WITH_SIGNAL = (0, 6, 0)


class OpenWrt(UpdateStrategy):
    """Wakes the agent openwisp-config, which then asks for its checksum."""

    id = "openwisp_controller.connection.connectors.openwrt.ssh.OpenWrt"
    label = "OpenWRT SSH"
    config_backends = ("netjsonconfig.OpenWrt",)

    def update(self, session: DeviceSession) -> None:
        """Raises ConnectionFailed."""
        # Without the agent, that is the shell's 127; with one that is broken, whatever it says.
        words = _run(session, _VERSION, expected=(0, 127)).output.split()
        if _version(words[-1] if words else "") >= _FIRST_WITH_SIGNAL:
            _run(session, _SIGNAL)
        elif _run(session, _IS_APPLYING, expected=(0, 1)).exit_status == 1:
            _run(session, _RESTART)


class OpenWisp1(UpdateStrategy):
    """OpenWISP 1.x fetches its configuration by itself."""

    id = "openwisp_controller.connection.connectors.openwrt.ssh.OpenWisp1"
    label = "OpenWISP 1.x SSH"
    config_backends = ("netjsonconfig.OpenWisp",)

    def update(self, session: DeviceSession) -> None:
        """There is nothing to do."""


def _version(text: str) -> tuple[int, ...]:
    """The three numbers that a version begins with: ``0.6.0a`` is 0, 6, 0."""
    numbers = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
    if numbers is None:
        raise ConnectionFailed("openwisp-config does not tell its version; is it installed on the device?")
    return tuple(int(each or 0) for each in numbers.groups())


def _run(session: DeviceSession, command: str, expected: tuple[int, ...] = (0,)) -> ExecutionResult:
    result = session.execute(command)
    if result.exit_status not in expected:
        text = result.errors.strip() or result.output.strip() or f"Unexpected exit code: {result.exit_status}"
        raise ConnectionFailed(text)
    return result
