"""The tables of the core, one module per aggregate."""

from guywire.models.base import Base
from guywire.models.configuration import (
    Config,
    ConfigArchive,
    ConfigState,
    ConfigTemplate,
)
from guywire.models.device import Device
from guywire.models.group import DeviceGroup, DeviceGroupTemplate
from guywire.models.job import JobRecord, Turn
from guywire.models.marker import Marker
from guywire.models.organization import Organization, OrganizationConfigSettings
from guywire.models.template import Template, TemplateTag
from guywire.models.user import (
    APIKey,
    EmailAddress,
    FailedLogins,
    Group,
    GroupPermission,
    LoginSession,
    Membership,
    OrganizationOwner,
    Permission,
    Token,
    User,
    UserGroup,
    UserPermission,
)
from guywire.models.vpn import Vpn, VpnArchive, VpnClient, VpnState

__all__ = [
    "APIKey",
    "Base",
    "Config",
    "ConfigArchive",
    "ConfigState",
    "ConfigTemplate",
    "Device",
    "DeviceGroup",
    "DeviceGroupTemplate",
    "EmailAddress",
    "FailedLogins",
    "Group",
    "GroupPermission",
    "JobRecord",
    "LoginSession",
    "Marker",
    "Membership",
    "Organization",
    "OrganizationConfigSettings",
    "OrganizationOwner",
    "Permission",
    "Template",
    "TemplateTag",
    "Token",
    "Turn",
    "User",
    "UserGroup",
    "UserPermission",
    "Vpn",
    "VpnArchive",
    "VpnClient",
    "VpnState",
]
