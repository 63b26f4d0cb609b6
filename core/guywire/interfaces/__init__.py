"""What plugins and the core agree on: pure Protocols, dataclasses and exceptions, nothing that touches a database."""

from guywire.interfaces.addresses import (
    AddressFacts,
    AddressProvider,
    AddressUnavailable,
    ServerAddress,
    SubnetFacts,
)
from guywire.interfaces.certificates import (
    Authority,
    CertificateLookup,
    CertificateOrder,
    Credential,
    PkiProvider,
    ServerCertificate,
)
from guywire.interfaces.commands import CommandType
from guywire.interfaces.configurations import (
    ArchiveFile,
    ConfigBackend,
    ConfigurationInvalid,
    JSONObject,
)
from guywire.interfaces.connections import (
    CommandTimeout,
    ConnectionFailed,
    ConnectionLimits,
    Connector,
    DeviceSession,
    ExecutionResult,
    HostKeyChanged,
    UpdateStrategy,
)
from guywire.interfaces.contributions import (
    FieldGroup,
    Job,
    MigrationSource,
    PermissionSet,
)
from guywire.interfaces.vpn import (
    NewVpnClient,
    Secret,
    VpnBackend,
    VpnServer,
)

__all__ = [
    "AddressFacts",
    "AddressProvider",
    "AddressUnavailable",
    "ArchiveFile",
    "Authority",
    "CertificateLookup",
    "CertificateOrder",
    "CommandTimeout",
    "CommandType",
    "ConfigBackend",
    "ConfigurationInvalid",
    "ConnectionFailed",
    "ConnectionLimits",
    "Connector",
    "Credential",
    "DeviceSession",
    "ExecutionResult",
    "FieldGroup",
    "HostKeyChanged",
    "JSONObject",
    "Job",
    "MigrationSource",
    "NewVpnClient",
    "PermissionSet",
    "PkiProvider",
    "Secret",
    "ServerAddress",
    "ServerCertificate",
    "SubnetFacts",
    "UpdateStrategy",
    "VpnBackend",
    "VpnServer",
]
