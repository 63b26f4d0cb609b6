"""X.509 as pure functions: keys, names, extensions, certificates, CRLs, and reading what was made elsewhere."""
