"""What a fresh sandbox holds: one domain, one group, five users with random keys, policies, presets, images."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from typing import Final

from sqlalchemy import null
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model

DOMAIN: Final = "default"
GROUP: Final = "default"
SCALING_GROUP: Final = "default"
AGENT: Final = "i-sandbox"
VFOLDER_HOST: Final = "local:volume1"
REGISTRY: Final = "cr.backend.ai"
CPUS: Final = 8
MEMORY: Final = 16 * 2**30
MAX_FOLDERS: Final = 50
HOST_PERMISSIONS: Final = (
    "create-vfolder",
    "modify-vfolder",
    "delete-vfolder",
    "mount-in-session",
    "upload-file",
    "download-file",
    "invite-others",
    "set-user-specific-permission",
)
ROLES: Final = {
    "admin": "superadmin",
    "domain-admin": "admin",
    "user": "user",
    "user2": "user",
    "monitor": "monitor",
}
IMAGES: Final = {
    "3.9-ubuntu20.04": ("python", "python:latest"),
    "3.6-ubuntu18.04": ("python:3.6",),
}
"""Tag → aliases. Whatever the tag says, the interpreter is the one that runs the sandbox."""

LIMITS: Final = {"cpu": {"min": "1", "max": None}, "mem": {"min": "64m", "max": None}}

_SALT_BYTES: Final = 8
_ROUNDS: Final = 1000  # the passwords are random and live as long as the process


@dataclass(frozen=True)
class Account:
    """A user that every sandbox has.

    Attributes:
        email: Its login name.
        password: Its password.
        role: ``superadmin``, ``admin``, ``user`` or ``monitor``.
        access_key: Its access key.
        secret_key: Its secret key.
    """

    email: str
    password: str
    role: str
    access_key: str
    secret_key: str


def hashed(password: str) -> str:
    """A salted hash to keep instead of the password."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return salt.hex() + "$" + hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS).hex()


def password_fits(password: str, kept: str) -> bool:
    """Whether this is the password whose hash was kept."""
    salt, _, digest = kept.partition("$")
    computed = hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(salt), _ROUNDS).hex()
    return secrets.compare_digest(computed, digest)


def new_keys() -> tuple[str, str]:
    """A random access key and secret key, of the lengths that the manager gives them."""
    return "AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30)


def fill(database: Database, rate_limit: int, *, v9: bool) -> dict[str, Account]:
    """Put the first rows in.

    Args:
        database: Where to put them.
        rate_limit: Calls per 15 minutes that each key may make.
        v9: Limit the number of folders as managers since 24.03 do: by the policies of users and projects.

    Returns:
        The accounts, by the local part of their e-mail address.
    """
    by_key, by_owner = (null(), MAX_FOLDERS) if v9 else (MAX_FOLDERS, None)
    hosts = {VFOLDER_HOST: list(HOST_PERMISSIONS)}
    group = model.Group(name=GROUP, domain_name=DOMAIN, description="The default group")
    database.add_all(
        [
            model.Domain(
                name=DOMAIN, description="The default domain", allowed_docker_registries=[REGISTRY],
                allowed_vfolder_hosts=hosts,
            ),
            group,
            model.KeyPairResourcePolicy(
                name="default", max_concurrent_sessions=20, max_containers_per_session=4, max_vfolder_count=by_key,
                idle_timeout=3600, allowed_vfolder_hosts=hosts,
            ),
            model.KeyPairResourcePolicy(
                name="tiny", default_for_unspecified="LIMITED", max_concurrent_sessions=1,
                max_vfolder_count=by_key if v9 else 2,
                total_resource_slots={"cpu": "2", "mem": str(2 * 2**30)}, idle_timeout=3600,
                allowed_vfolder_hosts=hosts,
            ),
            model.UserResourcePolicy(
                name="default", max_session_count_per_model_session=10, max_vfolder_count=by_owner
            ),
            model.ProjectResourcePolicy(name="default", max_vfolder_count=by_owner),
            model.ScalingGroup(name=SCALING_GROUP, description="The default agent scaling group"),
            model.ScalingGroupUse(scaling_group=SCALING_GROUP, kind="domain", target=DOMAIN),
            model.ResourcePreset(name="cpu1", resource_slots={"cpu": "1", "mem": str(2**30)}),
            model.ResourcePreset(name="cpu2", resource_slots={"cpu": "2", "mem": str(2**32)}),
            model.ConfigEntry(key="config/docker/registry/" + REGISTRY, value=f"https://{REGISTRY}"),
            model.ConfigEntry(key="volumes/default_host", value=VFOLDER_HOST),
        ]
    )  # fmt: skip
    for tag, aliases in IMAGES.items():
        image = model.Image(
            id=uuid.uuid4(),
            registry_name=REGISTRY,
            name="stable/python",
            tag=tag,
            digest="sha256:" + hashlib.sha256(tag.encode()).hexdigest(),
            size_bytes=2**28,
            labels={"ai.backend.role": "COMPUTE", "ai.backend.kernelspec": "1", "ai.backend.runtime-type": "python"},
            limits=LIMITS,
        )
        database.add(image)
        database.add_all(model.ImageAlias(alias=alias, image=image.id) for alias in aliases)
    database.flush()
    return {name: _add_user(database, name, role, group.id, rate_limit) for name, role in ROLES.items()}


def _add_user(database: Database, name: str, role: str, group: uuid.UUID, rate_limit: int) -> Account:
    access_key, secret_key = new_keys()
    account = Account(f"{name}@sandbox.example", secrets.token_urlsafe(12), role, access_key, secret_key)
    user = model.User(
        uuid=uuid.uuid4(),
        username=account.email,
        email=account.email,
        password=hashed(account.password),
        full_name=name,
        domain_name=DOMAIN,
        role=role,
        main_access_key=access_key,
    )
    database.add(user)
    database.add(
        model.KeyPair(
            access_key=access_key,
            secret_key=secret_key,
            user_id=account.email,
            user=user.uuid,
            is_admin=role in ("superadmin", "admin"),
            rate_limit=rate_limit,
        )
    )
    database.add(model.Membership(group_id=group, user_id=user.uuid))
    return account
