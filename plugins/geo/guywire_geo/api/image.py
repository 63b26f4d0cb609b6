"""The images of floor plans: ``/media/floorplans/{id}.{extension}``, for whoever may see the plan."""

from __future__ import annotations

from guywire.api.base import UUID_PATTERN
from guywire.api.service import APIService, Operation
from guywire.errors import NotFound
from pyramid.request import Request
from pyramid.response import Response

from guywire_geo.api.floor_plan import FloorPlanResource
from guywire_geo.images import EXTENSIONS
from guywire_geo.models import FloorPlan
from guywire_geo.services.image_files import folder_of

HEADERS = {
    # A plan may get another picture under its address, and the right to see it may end.
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Vary": "Authorization, Cookie",
    "X-Content-Type-Options": "nosniff",
}

service = APIService(
    name="floorplan_image",
    path=f"/media/floorplans/{{id:{UUID_PATTERN}}}.{{extension:{'|'.join(EXTENSIONS)}}}",
    title="Image of a floor plan",
    description="The picture of a floor plan.",
    resource=FloorPlanResource,
)


@service.get(operation=Operation(permission="view_floorplan", sends="image/png"))
def show_image(request: Request) -> Response:
    """The picture, in the format in which it was sent. ``If-None-Match`` spares who has it already."""
    resource = FloorPlanResource(request)
    plan: FloorPlan = resource.row()
    token, _, extension = plan.image.rpartition(".")
    if extension != request.matchdict["extension"]:
        raise NotFound()
    try:
        content = (folder_of(resource.runtime.settings) / plan.image).read_bytes()
    except FileNotFoundError:
        # Restored from a backup of the database alone.
        raise NotFound() from None
    response = Response(content, content_type=plan.media_type, conditional_response=True, etag=token)
    response.headers.update(HEADERS)
    return response
