"""Ways to reach devices."""
