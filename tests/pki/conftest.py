"""What the tests of CAs and certificates have in common."""
