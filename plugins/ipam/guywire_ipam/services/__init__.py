"""What addresses and subnets do, as functions on a session."""
