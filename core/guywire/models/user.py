"""Users, their groups, permissions, tokens and memberships in organizations."""

from __future__ import annotations

import uuid
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from guywire.models.base import Base, Identified, text
from guywire.sealing import SealedText


class User(Identified, Base):
    """Somebody who may log in. ``password`` is a hash, or "" when no password can log in."""

    __tablename__ = "user"
    __table_args__ = (sa.Index("uq_user_email_lower", sa.text("lower(email)"), unique=True),)

    username: Mapped[str] = mapped_column(String(150), unique=True)
    email: Mapped[str | None] = mapped_column(String(254))
    password: Mapped[str] = text(256)
    first_name: Mapped[str] = text(150)
    last_name: Mapped[str] = text(150)
    is_active: Mapped[bool] = mapped_column(default=True)
    is_staff: Mapped[bool] = mapped_column(default=False)
    is_superuser: Mapped[bool] = mapped_column(default=False)
    date_joined: Mapped[datetime]
    last_login: Mapped[datetime | None]
    password_updated: Mapped[date | None]
    phone_number: Mapped[str | None] = mapped_column(String(16), unique=True, index=True)
    birth_date: Mapped[date | None]
    bio: Mapped[str] = mapped_column(Text, default="")
    url: Mapped[str] = text(200)
    company: Mapped[str] = text(30)
    location: Mapped[str] = text(256)
    notes: Mapped[str] = mapped_column(Text, default="")
    # The last day on which the user may log in.
    expiration_date: Mapped[date | None]

    groups: Mapped[list[Group]] = relationship(secondary="user_group", order_by="Group.id", passive_deletes=True)
    permissions: Mapped[list[Permission]] = relationship(
        secondary="user_permission", order_by="Permission.id", passive_deletes=True
    )
    memberships: Mapped[list[Membership]] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )


class Permission(Base):
    """A permission that some loaded plugin knows: ``<verb>_<resource>``. The row remembers that it was handed out."""

    __tablename__ = "permission"

    id: Mapped[int] = mapped_column(primary_key=True)
    codename: Mapped[str] = mapped_column(String(100), unique=True)
    resource: Mapped[str] = text(100)
    label: Mapped[str] = text(200)


class Group(Base):
    """A named set of permissions."""

    __tablename__ = "group"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(150), unique=True)

    permissions: Mapped[list[Permission]] = relationship(
        secondary="group_permission", order_by="Permission.id", passive_deletes=True
    )


class GroupPermission(Base):
    """A permission that a group gives to its users."""

    __tablename__ = "group_permission"

    group_id: Mapped[int] = mapped_column(ForeignKey("group.id", ondelete="CASCADE"), primary_key=True)
    permission_id: Mapped[int] = mapped_column(ForeignKey("permission.id", ondelete="CASCADE"), primary_key=True)


class UserGroup(Base):
    """A user's place in a group."""

    __tablename__ = "user_group"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    group_id: Mapped[int] = mapped_column(ForeignKey("group.id", ondelete="CASCADE"), primary_key=True)


class UserPermission(Base):
    """A permission given to one user directly."""

    __tablename__ = "user_permission"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    permission_id: Mapped[int] = mapped_column(ForeignKey("permission.id", ondelete="CASCADE"), primary_key=True)


class Token(Base):
    """The bearer token that ``POST /api/v1/users/token/`` returns: one per user, the same each time."""

    __tablename__ = "token"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(SealedText("token.key"))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime]


class APIKey(Identified, Base):
    """A named token of a user's own, for one script or one machine. Only its hash is kept."""

    __tablename__ = "api_key"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime]
    expires: Mapped[datetime | None]
    last_used: Mapped[datetime | None]


class LoginSession(Base):
    """A browser in which a user has logged in. Only the hash of its cookie is kept."""

    __tablename__ = "login_session"

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    created: Mapped[datetime]
    expires: Mapped[datetime] = mapped_column(index=True)


class FailedLogins(Base):
    """How many logins failed lately for one account from one address, or from one address at all; mails count too.

    ``key_hash`` says whose: neither addresses nor what people mistook for their user name is kept.
    """

    __tablename__ = "failed_logins"

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    until: Mapped[datetime] = mapped_column(index=True)


class EmailAddress(Base):
    """An e-mail address of a user. The primary one is the user's ``email``."""

    __tablename__ = "email_address"
    __table_args__ = (sa.Index("uq_email_address_email_lower", sa.text("lower(email)"), unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    email: Mapped[str] = mapped_column(String(254))
    verified: Mapped[bool] = mapped_column(default=False)
    primary: Mapped[bool] = mapped_column(default=False)


class Membership(Identified, Base):
    """A user's place in an organization; with ``is_admin`` the user is one of its managers."""

    __tablename__ = "organization_user"
    __table_args__ = (UniqueConstraint("user_id", "organization_id"),)

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    organization_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"), index=True)
    is_admin: Mapped[bool] = mapped_column(default=False)

    user: Mapped[User] = relationship(back_populates="memberships")


class OrganizationOwner(Base):
    """Which of an organization's members owns it: the first manager, until somebody says otherwise."""

    __tablename__ = "organization_owner"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True
    )
    organization_user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organization_user.id", ondelete="CASCADE"), unique=True
    )
