"""What the REST API, other plugins and the worker do with CAs and certificates, as functions on a session."""
