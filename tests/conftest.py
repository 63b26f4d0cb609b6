"""The fixtures that guywire ships are those that its own tests use."""

pytest_plugins = ["guywire.testing"]
