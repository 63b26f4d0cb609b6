"""What more than one endpoint, and the worker, need."""
