"""Resources whose shared objects have secrets, which are not for everybody who may see these objects."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from guywire.api.base import Resource

MASK = "********"


class Guarded(Resource):
    """A resource that masks the fields ``secrets`` of shared objects for all who may not change these.

    What is shared serves all organizations: whoever had the key of such a CA could be anybody's server or client.
    """

    secrets: ClassVar[tuple[str, ...]]

    @override
    def present(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.identity.manages(body["organization"]):
            return body
        return {name: MASK if name in self.secrets and value else value for name, value in body.items()}
