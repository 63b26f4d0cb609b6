"""The REST API of subnets, addresses and division rules."""
