"""The REST API of credentials, device connections and commands."""
