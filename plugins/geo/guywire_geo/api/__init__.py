"""The REST API of locations, floor plans and device locations."""
