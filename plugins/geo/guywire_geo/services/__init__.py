"""What more than one endpoint needs."""
