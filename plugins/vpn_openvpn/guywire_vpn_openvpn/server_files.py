"""The files of a server: what its daemon reads, then the operator's own."""

from __future__ import annotations

from guywire.backends.refusals import refusing
from guywire.interfaces import ArchiveFile, JSONObject

from guywire_vpn_openvpn import schema

_MODE = "0644"


def files_of(config: JSONObject) -> list[ArchiveFile]:
    """The files of a configuration whose variables are filled in. Raises ConfigurationInvalid."""
    with refusing():
        server = schema.Server(config)
        # A line with the name of the server and an empty one come first.
        text = server.render(files=False).split("\n", 2)[2]
        files = [(schema.conf_name(config), text, _MODE)]
        for file in server.config.get("files", []):
            files.append((file["path"].removeprefix("/"), file["contents"], file.get("mode", _MODE)))
        return [ArchiveFile(path, contents.encode(), int(mode, base=8)) for path, contents, mode in files]
