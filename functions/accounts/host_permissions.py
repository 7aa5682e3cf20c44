"""Which folder hosts may be used, and for what: the argument that changed its form between servers.

Up to 22.09 a domain, group or resource policy allows whole hosts, by name. From 23.03 on it names the permissions that
it gives for each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from ai.backend.client.functions.toolkit.generations import V6_LOWER_CASE, Generation
from ai.backend.client.functions.toolkit.inputs import choice, either, items, json_object_text, text, texts

HOST_PERMISSIONS: Final = (
    "create-vfolder", "modify-vfolder", "delete-vfolder", "mount-in-session", "upload-file", "download-file",
    "invite-others", "set-user-specific-permission",
)  # fmt: skip
"""Every permission on a folder host, as ``Permission.list()`` tells them (23.09)."""

Hosts = Iterable[str] | Mapping[str, Iterable[str]] | str
"""Names of hosts, which then have every permission; or host → permissions; or that as JSON text."""


def host_permissions(
    generation: Generation,
    allowed_vfolder_hosts: Hosts | None,
    vfolder_host_perms: Hosts | None = None,
) -> list[str] | str | None:
    """Spell the allowed folder hosts for one version.

    Args:
        generation: How the server is spoken to.
        allowed_vfolder_hosts: What the caller gave, in any form.
        vfolder_host_perms: The same under its later name.

    Returns:
        Names of hosts up to 22.09, JSON text from 23.03 on; None when nothing was given.

    Raises:
        InvalidArgument: It has no such form, a permission is unknown, or both were given and differ.
        BackendAPIVersionError: Permissions were given that a server without them cannot tell from the others.
    """
    given = either("allowed_vfolder_hosts", allowed_vfolder_hosts, "vfolder_host_perms", vfolder_host_perms)
    if given is None:
        return None
    argument = "vfolder_host_perms" if allowed_vfolder_hosts is None else "allowed_vfolder_hosts"
    hosts = _by_host(argument, given)
    if generation.has(V6_LOWER_CASE):
        return json.dumps(hosts)
    for granted in hosts.values():
        if set(granted) != set(HOST_PERMISSIONS):
            generation.require(f"single permissions in {argument}", since=V6_LOWER_CASE)
    return list(hosts)


def _by_host(argument: str, value: Hosts) -> dict[str, list[str]]:
    if isinstance(value, str):
        value = json.loads(json_object_text(argument, value))
    if isinstance(value, Mapping):
        return {
            text(argument, host): [choice(argument, item, HOST_PERMISSIONS) for item in items(argument, granted)]
            for host, granted in value.items()
        }
    return {host: list(HOST_PERMISSIONS) for host in texts(argument, value)}
