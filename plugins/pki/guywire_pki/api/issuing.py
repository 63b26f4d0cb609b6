"""What CAs and certificates have in common as resources: keys are made before locks are taken."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from guywire.api import filters
from guywire.api.field_groups import without
from guywire.api.filters import Filter
from guywire.api.guarded import Guarded
from guywire.api.schema import REQUIRED
from guywire.api.shown import Shown
from guywire.db import reading
from guywire.errors import MODEL, Invalid
from pyramid.request import Request
from typing_extensions import override

from guywire_pki.services.issuing import Values
from guywire_pki.x509 import imported, keys
from guywire_pki.x509.keys import PrivateKey


def columns_of(model: Any) -> Shown:
    """What bodies show of CAs and of certificates alike."""
    names = (
        *("key_length", "digest", "validity_start", "validity_end", "country_code", "state", "city"),
        *("organization_name", "organizational_unit_name", "email", "common_name", "extensions", "serial_number"),
        *("certificate", "private_key", "created", "modified"),
    )
    return {name: getattr(model, name) for name in names}


def filters_of(model: Any) -> dict[str, Filter]:
    """The filters of both lists."""
    return {
        **filters.organization(model.organization_id),
        "common_name": filters.exactly(model.common_name, "Only with this common name."),
        **filters.moments("expires", model.validity_end),
    }


class Issuing(Guarded):
    """A resource whose POST makes keys.

    That takes long, and the session of an unsafe request may hold the only write lock that there is. So ``prepare``
    looks at the request with a session that only reads. What changes before the lock is there runs into the
    constraints of the database, and the request is repeated.
    """

    shared = True
    secrets = ("private_key",)
    prepared: Any = None
    _fields: dict[str, Any] | None = None
    keys: dict[Any, PrivateKey]
    """New keys, by what they are for."""

    def __init__(self, request: Request) -> None:
        if request.method == "POST":
            self.request, self.runtime = request, request.runtime
            self.identity = self.authorized()
            with reading(self.runtime.session_factory) as session:
                self.session = session
                wanted = self.prepare()
            made = keys.generate_many([length for _, length in wanted])
            self.keys = {use: key for (use, _), key in zip(wanted, made, strict=True)}
            self.sign()
        super().__init__(request)

    def prepare(self) -> list[tuple[Any, str]]:
        """Refuse what is to be refused, and say which keys are needed: for what, and how long they are to be.

        Here for a creation; what it makes of the body is kept in ``prepared``. Raises Invalid.
        """
        fields = self.validated(partial=False)
        self._require_organization(fields)
        self.prepared = self.complete(without(self.field_groups, fields))
        return [] if "certificate" in self.prepared else [("own", self.prepared["key_length"])]

    def sign(self) -> None:
        """Sign with the new keys what can be signed before anything is locked."""

    def complete(self, fields: dict[str, Any]) -> Values:
        """The columns of a new row, but for its key and what is made with it. Raises Invalid."""
        raise NotImplementedError

    def given(self, fields: dict[str, Any]) -> Values:
        """The given fields as columns, with those of an imported certificate. Raises Invalid."""
        values: Values = {**fields, "organization_id": fields.get("organization")}
        certificate, key = values.pop("certificate", ""), values.pop("private_key", "")
        values.pop("organization", None)
        if bool(certificate) != bool(key):
            raise Invalid({MODEL: [imported.BOTH_NEEDED]})
        if certificate:
            values |= imported.read(certificate, key, values.get("passphrase", ""), self.now)
            values["extensions"] = []
        return values

    @override
    def validated(self, *, partial: bool) -> dict[str, Any]:
        if self._fields is not None:
            # Once is enough: should something have gone since, the database refuses and it begins anew.
            return self._fields
        fields = super().validated(partial=partial)
        if self.request.method == "POST":
            if is_import(fields) and "organization" not in fields:
                fields["organization"] = self.organization_of_import(fields)
            self._fields = fields
        return fields

    def organization_of_import(self, fields: dict[str, Any]) -> UUID | None:
        """Whose an imported thing is when nobody says. Raises Invalid for users of several organizations."""
        if self.identity.is_superuser:
            return None
        if len(self.identity.managed_organizations) != 1:
            raise Invalid({"organization": [REQUIRED]})
        return next(iter(self.identity.managed_organizations))

    def edit(self, row: Any, fields: dict[str, Any]) -> None:
        """Set the fields that can be changed."""
        if "organization" in fields:
            row.organization_id = fields["organization"]
        for name in ("name", "notes"):
            if name in fields:
                setattr(row, name, fields[name])
        row.modified = self.now


def is_import(fields: Any) -> bool:
    """Whether a body brings a certificate with its key."""
    return bool(fields.get("certificate")) and bool(fields.get("private_key"))
