"""Geography: locations, floor plans, and where each device is."""
