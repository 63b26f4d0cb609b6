"""What the ini says of connections and commands: ``guywire.ssh_connection.…``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from guywire.interfaces import ConnectionLimits, JSONObject
from guywire.settings import SettingInvalid, Settings, of_plugin

NAME = "ssh_connection"


@dataclass(frozen=True, slots=True)
class SSHSettings:
    """The settings of this plugin. The ini key of ``name`` is ``guywire.ssh_connection.name``."""

    connect_timeout: float = 5.0
    banner_timeout: float = 60.0
    auth_timeout: float = 2.0
    command_timeout: float = 30.0
    """Seconds that a device may take to accept a connection, to say what it is, to check a password or key, and to run
    a command."""
    output_limit: int = 1024 * 1024
    """Bytes that are kept of what a command prints."""
    parallel_visits: int = 64
    """Devices that one ``guywire worker`` visits at once: nearly all of a visit is waiting for the device."""
    command_retention: int = 0
    """Seconds for which commands are kept after their end; 0: for ever."""
    organization_commands: JSONObject = field(default_factory=lambda: {"__all__": "*"})
    """Types of commands that organizations may use: a JSON object from an organization's id to a list of types, or to
    ``"*"`` for all. What it says of one organization replaces what it says of ``__all__``."""

    def __post_init__(self) -> None:
        """Raises SettingInvalid for what no connection could be made with."""
        for name in (each.name for each in fields(self) if each.type in ("float", "int")):
            value = getattr(self, name)
            if value < 0 or (value == 0 and name != "command_retention"):
                raise SettingInvalid(f"guywire.{NAME}.{name}: {value} is too little")
        for organization, types in self.organization_commands.items():
            if types != "*" and not (isinstance(types, list) and all(isinstance(each, str) for each in types)):
                raise SettingInvalid(
                    f"guywire.{NAME}.organization_commands: {organization} has {types!r}, "
                    'which is neither a list of types nor "*"'
                )

    @classmethod
    def of(cls, settings: Settings) -> SSHSettings:
        """Read them. Raises SettingInvalid and names the key."""
        return of_plugin(settings, NAME, cls)

    @property
    def limits(self) -> ConnectionLimits:
        """How long and how much connections may take."""
        return ConnectionLimits(
            connect=self.connect_timeout,
            banner=self.banner_timeout,
            authentication=self.auth_timeout,
            command=self.command_timeout,
            output=self.output_limit,
        )
