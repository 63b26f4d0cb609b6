"""The error of geometries that cannot be used."""


class GeometryInvalid(ValueError):
    """A geometry that cannot be used; the text says why."""


UNRECOGNIZED = "The text of the geometry is neither GeoJSON nor WKT, EWKT or HEXEWKB."
