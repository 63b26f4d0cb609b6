"""What stories of geography begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from geo_rows import picture
from guywire.db import writing
from guywire.models import Permission, User, UserPermission
from guywire.runtime import Runtime
from guywire.settings import Settings
from guywire.testing import Client
from guywire.testing.fixtures import make_user
from guywire_geo.services.image_files import folder_of
from webtest import TestApp, Upload

POINT = {"type": "Point", "coordinates": [12.512124, 41.898903]}


@dataclass
class Map:
    """Somebody who looks after locations; ``forms`` go as multipart."""

    client: Client
    organization: str
    folder: Path

    def form(self, method: str, path: str, fields: dict[str, Any], status: int = 201) -> Any:
        """The JSON of the answer to a form; bytes in it are uploaded as ``floorplan.png``."""
        parts = [
            (name, Upload("../../floorplan.png", value, "image/png") if isinstance(value, bytes) else value)
            for name, value in fields.items()
        ]
        content_type, body = self.client.app.encode_multipart(parts, [])
        headers = {"Authorization": f"Bearer {self.client.token}", "Content-Type": content_type}
        url = f"/api/v1/controller/{path}"
        return self.client.app.request(url, method=method, body=body, headers=headers, status=status).json

    def location(self, name: str = "Town Hall", **fields: Any) -> Any:
        """A location."""
        body = {"name": name, "organization": self.organization, "type": "indoor", "geometry": POINT}
        return self.client.post("location/", body | fields)

    def plan(self, location: Any, floor: int = 1, image: bytes | None = None, status: int = 201) -> Any:
        """A floor plan."""
        fields = {"floor": str(floor), "location": location["id"], "image": picture() if image is None else image}
        return self.form("POST", "floorplan/", fields, status)

    def files(self) -> list[str]:
        """The names of the images that are kept."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """The application's settings, with a folder for the images of this test alone."""
    return replace(settings, data_dir=tmp_path)


@pytest.fixture
def stranger(app: TestApp, runtime: Runtime, other_organization: str) -> Client:
    """An operator of another organization."""
    return Client(app, make_user(runtime, "stranger", other_organization, "Operator"))


@pytest.fixture
def geography(runtime: Runtime, organization: str) -> Callable[[Client], Map]:
    """What a client can do with the locations of the organization."""
    return lambda client: Map(client, organization, folder_of(runtime.settings))


@pytest.fixture
def geo(geography: Callable[[Client], Map], admin: Client) -> Map:
    """What a superuser does."""
    return geography(admin)


@pytest.fixture
def permitted(app: TestApp, runtime: Runtime, organization: str) -> Callable[..., Client]:
    """A manager of the organization who has exactly these permissions."""

    def make(*names: str) -> Client:
        token = make_user(runtime, "-".join(names), organization)
        with writing(runtime.session_factory) as session:
            user = session.scalars(sa.select(User).where(User.username == "-".join(names))).one()
            for permission in session.scalars(sa.select(Permission).where(Permission.codename.in_(names))):
                session.add(UserPermission(user_id=user.id, permission_id=permission.id))
        return Client(app, token)

    return make
