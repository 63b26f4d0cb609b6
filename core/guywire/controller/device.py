"""Registration, reports, and polls that have something to write."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy.orm import Session, selectinload

from guywire.api.service import described
from guywire.controller import protocol
from guywire.controller.answers import refused_method, response_of, text
from guywire.controller.poll import Poll, answer, poll_of, refusal_of
from guywire.controller.reader import DatabaseReader
from guywire.db import reading, writing
from guywire.errors import Overloaded
from guywire.events import ConfigStatusChanged, DevicePolled
from guywire.models import Config, Device, Organization
from guywire.plugin import inform
from guywire.runtime import Runtime
from guywire.sealing import SealBroken
from guywire.services import devices, registration, status
from guywire.services.rendering import refresh, render_anyway

log = logging.getLogger(__name__)

ID = "{id:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}}"
ATTEMPTS = 30
"""How often a poll is brought up to date before it is told to come back later."""


def includeme(config: Configurator) -> None:
    """Serve each handler under its current path and under the older one, which routers really use."""
    config.registry.poll_reader = DatabaseReader(config.registry.runtime.engine)
    for name, path, view, methods in (
        ("checksum", f"checksum/{ID}/", checksum_view, ("GET", "HEAD")),
        ("download_config", f"download-config/{ID}/", download_view, ("GET", "HEAD")),
        ("update_info", f"update-info/{ID}/", update_info_view, ("POST",)),
        ("report_status", f"report-status/{ID}/", report_status_view, ("POST",)),
        ("register", "register/", register_view, ("POST",)),
    ):
        for prefix, route in (("/controller/device/", f"device_door_{name}"), ("/controller/", f"door_{name}")):
            config.add_route(route, prefix + path)
            config.add_view(view, route_name=route, request_method=methods)
            config.add_view(refused_method(methods), route_name=route)


@described(protocol.CHECKSUM)
def checksum_view(request: Request) -> Response:
    """The checksum of the configuration that the device should have: 32 hexadecimal digits."""
    return _poll(request)


@described(protocol.DOWNLOAD)
def download_view(request: Request) -> Response:
    """The configuration that the device should have, as an archive."""
    return _poll(request)


def _poll(request: Request) -> Response:
    """A poll that ``answer`` could not settle: do what is missing, then ask it again."""
    runtime: Runtime = request.runtime
    poll = poll_of(request.environ)
    if poll is None:
        # The route's pattern lets a line break at the end pass, the poll's does not.
        raise HTTPNotFound()
    for _ in range(ATTEMPTS):
        try:
            reply = answer(request.registry.poll_reader, poll)
        except SealBroken as broken:
            # The key ring is another one. Routers shall wait until somebody has put that right.
            log.error("the archive of device %s cannot be opened: %s", poll.device_id, broken)
            raise Overloaded() from None
        if reply is not None:
            if reply.polled:
                request.registry.poll_log.note(poll.device_hex)
            return response_of(reply)
        _bring_up_to_date(runtime, poll, request.now)
    raise Overloaded()


def _bring_up_to_date(runtime: Runtime, poll: Poll, now: Any) -> None:
    """Render what is stale, then write down where the device called from and what it is about to be given, and tell
    who waits for its poll.
    """
    with writing(runtime.session_factory) as session:
        device = _device(session, poll.device_id)
        if device is None or device.config is None:
            return
        config = device.config
        if not status.is_stale(config.state):
            _record_poll(session, runtime, device, config, poll, now)
            return
    refresh(runtime.session_factory, runtime.renderer, [config.id], now)


def _record_poll(session: Session, runtime: Runtime, device: Device, config: Config, poll: Poll, now: Any) -> None:
    if config.state.poll_awaited:
        # Taken back first: whoever hears of the poll may await the next one.
        config.state.poll_awaited = False
        session.flush()
        inform(session, DevicePolled(device.id))
    if (device.last_ip, device.management_ip) != (poll.address, poll.management_ip):
        shared_space = runtime.settings.shared_management_ip_space
        devices.record_addresses(session, device, poll.address, poll.management_ip, shared_space=shared_space)
    if poll.download and poll.fetches:
        previous = config.state.status
        status.record_served(config.state, now)
        if config.state.status != previous:
            inform(session, ConfigStatusChanged(config.id, device.id, previous, config.state.status))


def _device(session: Session, device_id: uuid.UUID) -> Device | None:
    """The device with its configuration, locked: two requests of one device wait for each other, and for a rendering
    that is being stored.
    """
    device = session.scalars(
        sa.select(Device)
        .where(Device.id == device_id)
        # Read after the lock is there: what is joined to it is as old as the wait was long.
        .options(selectinload(Device.config).joinedload(Config.state))
        .with_for_update(of=Device)
    ).first()
    if device is not None and device.config is not None:
        session.refresh(device.config.state, with_for_update=True)
    return device


class _Known:
    """A device that asks to write, as ``refusal_of`` wants to see it."""

    def __init__(self, device: Device, organization: Organization) -> None:
        self.key = device.key
        self.is_active = organization.is_active
        self.lifecycle = device.config.state.lifecycle if device.config else status.DEACTIVATED


def _form(request: Request) -> dict[str, str]:
    """The fields of the body. One that is no form, or cannot be read as one, has none; a file is no field.

    Routers report what they have, cut off in the middle of a character or with null bytes in it. What a database
    cannot store is replaced, like bytes that are not UTF-8.
    """
    try:
        fields = request.POST.items()
    except (ValueError, LookupError, DeprecationWarning):
        # A malformed multipart body; an encoding that nobody knows, or that WebOb does not like.
        return {}
    return {name: value.replace("\0", "\ufffd") for name, value in fields if name and isinstance(value, str)}


def _identified(request: Request, form: Mapping[str, str]) -> Device | Response:
    """The device of the path if the form has its key, else the answer that refuses it."""
    device_id, key = uuid.UUID(request.matchdict["id"]), form.get("key", "")
    # A look before the session takes its lock: strangers wait for nobody, and nobody for them.
    refusal = refusal_of(request.registry.poll_reader.checksum(device_id.hex), key)
    if refusal is not None:
        return response_of(refusal)
    session: Session = request.db
    device = _device(session, device_id)
    known = None if device is None else _Known(device, session.get_one(Organization, device.organization_id))
    refusal = refusal_of(known, key)
    if refusal is not None:
        return response_of(refusal)
    assert device is not None
    return device


@described(protocol.UPDATE_INFO)
def update_info_view(request: Request) -> Response:
    """The device says what it is: os, model, system."""
    form = _form(request)
    device = _identified(request, form)
    if isinstance(device, Response):
        return device
    if device.is_deactivated:
        return text(registration.DEVICE_DEACTIVATED, 403, "text/html")
    errors = registration.update_info(request.db, request.runtime, device, form, request.now)
    if errors:
        return text(json.dumps(errors, indent=4, sort_keys=True), 400)
    return text("update-info: success")


@described(protocol.REPORT_STATUS)
def report_status_view(request: Request) -> Response:
    """The device says whether it could apply what it was given."""
    form = _form(request)
    device = _identified(request, form)
    if isinstance(device, Response):
        return device
    reported = form.get("status", "")
    if not reported:
        return text('error: missing required parameter "status"\n', 400)
    if reported not in status.REPORTABLE:
        return text("error: wrong status\n", 403)
    assert device.config is not None
    state = device.config.state
    if state.served_checksum is None and status.is_stale(state):
        # Nobody knows what it was given, so it speaks of what it should have: that has to be there first.
        render_anyway(request.db, request.runtime.renderer, device.config, request.now)
    devices.record_report(request.db, device, state, reported, form.get("error_reason"), request.now)
    return text(f"report-result: success\ncurrent-status: {state.status}\n")


@described(protocol.REGISTER)
def register_view(request: Request) -> Response:
    """A device introduces itself."""
    runtime: Runtime = request.runtime
    form = _form(request)
    address = devices.usable_address(request.remote_addr)
    try:
        # Before the request's session takes its lock: whoever lacks the secret waits for nobody, and nobody for them.
        with reading(runtime.session_factory) as session:
            registration.admit(session, runtime, form)
        registered = registration.register(request.db, runtime, form, address, request.now)
    except registration.RegistrationRefused as refused:
        request.tm.doom()
        # Quoted and cut: anybody can write here.
        log.warning(
            "registration refused: address=%s name=%.80r mac_address=%.80r reason=%s",
            address,
            form.get("name"),
            form.get("mac_address"),
            refused.reason,
        )
        return text(refused.body, refused.status, refused.content_type)
    device = registered.device
    return text(
        "registration-result: success\n"
        f"uuid: {device.id.hex}\n"
        f"key: {device.key}\n"
        f"hostname: {device.name}\n"
        f"is-new: {int(registered.is_new)}\n",
        201,
    )
