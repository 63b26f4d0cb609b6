"""The REST API of CAs and certificates, and the CRLs that VPN servers fetch."""
