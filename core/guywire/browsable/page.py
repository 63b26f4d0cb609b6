"""Renders pages: the templates' environment, and the headers and cookies that every page has."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined, Template
from pyramid.request import Request

from guywire import __version__, csrf
from guywire.api.answers import Response
from guywire.browsable.plugin_pages import links_of
from guywire.errors import APIError, PasswordExpired
from guywire.security import Identity

CONTENT_SECURITY_POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
"""Nothing comes from elsewhere, and nothing that somebody stored can run as a script."""

SECURITY_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""What pages and the answers of the API say to browsers."""

_core = PackageLoader("guywire.browsable")
_environment = Environment(
    loader=_core,
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(
    request: Request, template: str, *, status: int = 200, policy: dict[str, str] | None = None, **values: Any
) -> Response:
    """A page: ``template`` extends ``base.jinja2`` and is given ``values`` and what the frame around it needs.

    A plugin's own template is named with its package: ``guywire_lamp:lamp.jinja2`` is ``templates/lamp.jinja2`` there.
    ``policy`` replaces parts of the content security policy.
    """
    form_token = csrf.make_token(request)
    user = visitor(request)
    text = _template(template).render(
        user=user,
        links=links_of(request.registry, user),
        here=request.path_qs,
        static=f"/static/{static_version()}",
        version=__version__,
        csrf_field=csrf.FIELD,
        csrf_token=form_token,
        **values,
    )
    response = Response(text, status=status, content_type="text/html", charset="utf-8")
    directives = CONTENT_SECURITY_POLICY | (policy or {})
    response.headers["Content-Security-Policy"] = "; ".join(" ".join(each) for each in directives.items())
    response.headers.update(SECURITY_HEADERS)
    response.cache_control = "no-store"
    if not csrf.is_valid(request, request.cookies.get(csrf.COOKIE, "")):
        set_cookie(request, response, csrf.COOKIE, form_token, readable=True)
    return response


@cache
def _template(name: str) -> Template:
    package, colon, _ = name.partition(":")
    if not colon:
        return _environment.get_template(name)
    own = _environment.overlay(loader=ChoiceLoader([PrefixLoader({package: PackageLoader(package)}, ":"), _core]))
    return own.get_template(name)


def visitor(request: Request) -> Identity | None:
    """Who looks at the page. Pages are for people who are not (or not properly) logged in, too.

    Raises PasswordExpired: they are led to the page where they set another one (by ``tween``).
    """
    try:
        identity: Identity | None = request.identity
    except PasswordExpired:
        raise
    except APIError:
        return None
    return identity


def set_cookie(request: Request, response: Any, name: str, value: str | None, *, readable: bool = False) -> None:
    """Set a cookie for as long as sessions last (None: remove it), ``readable`` by scripts of our own pages or not."""
    response.set_cookie(
        name,
        value,
        max_age=request.runtime.settings.session_lifetime if value is not None else None,
        httponly=not readable,
        samesite="Lax",
        secure=request.scheme == "https",
    )


@cache
def static_version(package: str = "guywire.browsable") -> str:
    """A name for a package's static files as they are now: browsers may keep them for ever under it."""
    digest = hashlib.sha256()
    for file in sorted(files(package).joinpath("static").iterdir(), key=lambda file: file.name):
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
