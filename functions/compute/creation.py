"""The body of the create call, per protocol generation.

A :class:`SessionSpec` holds what the caller asked for; :func:`create_body` checks it and spells it for one version. The
tables :data:`SINCE`, :data:`ROOT_KEYS` and :data:`CONFIG_KEYS` are the whole difference between v5 and v7; v4 is a
shape of its own.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ai.backend.client._checks import plain
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.toolkit.generations import (
    V4_IMAGE,
    V4_OWNER,
    V5,
    V6,
    V6_DEPENDENCIES,
    V6_FILTER,
    Generation,
)
from ai.backend.client.functions.toolkit.inputs import (
    choice,
    count,
    either,
    items,
    mapping,
    port,
    script,
    text,
    text_mapping,
    texts,
    uuid_text,
    uuid_texts,
    whole,
)
from ai.backend.client.versioning import ApiVersion, get_naming

NAME_PATTERN = re.compile(r"(?=.{4,64}\Z)\w[\w.-]*\w", re.ASCII)
"""What the manager takes as a session's name."""
NAME_RULE = "must be 4 to 64 ASCII letters, digits, '_', '-' or '.', with a letter, digit or '_' at both ends"
RESERVED_NAMES = frozenset({"from-template"})

DEFAULT_TYPE = "interactive"
BATCH_TYPE = "batch"
CLUSTER_MODES = ("single-node", "multi-node")
SESSION_TYPES = ("interactive", "batch", "inference", "system")

HOLD_MARGIN = 120.0
"""Seconds on top of ``max_wait`` before a create call counts as unanswered."""
HOLD_UNLIMITED = 900.0
"""Seconds for calls that the server may hold as long as it likes: pulling an image takes minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """What the caller of a create function asked for; None means not given: the server's or template's value holds."""

    name: str
    image: str | None = None
    template_id: str | uuid.UUID | None = None
    type: str | None = None
    enqueue_only: bool | None = None
    max_wait: int | None = None
    no_reuse: bool | None = None
    mounts: Iterable[str] | None = None
    mount_map: Mapping[str, str] | None = None
    envs: Mapping[str, str] | None = None
    startup_command: str | None = None
    resources: Mapping[str, Any] | None = None
    resource_opts: Mapping[str, Any] | None = None
    cluster_size: int | None = None
    cluster_mode: str | None = None
    domain_name: str | None = None
    group_name: str | None = None
    tag: str | None = None
    scaling_group: str | None = None
    owner_access_key: str | None = None
    starts_at: str | None = None
    bootstrap_script: str | None = None
    preopen_ports: Iterable[int] | None = None
    dependencies: Iterable[str | uuid.UUID] | None = None
    callback_url: str | None = None
    architecture: str | None = None
    assign_agent: str | Iterable[str] | None = None


SINCE: Mapping[str, ApiVersion] = {
    "owner_access_key": V4_OWNER,
    "startup_command": V4_OWNER,
    "type": V4_OWNER,
    "enqueue_only": V4_OWNER,
    "max_wait": V4_OWNER,
    "no_reuse": V4_OWNER,
    "mount_map": V5,
    "starts_at": V5,
    "bootstrap_script": V5,
    "preopen_ports": V5,
    "cluster_mode": V6,
    "assign_agent": V6_FILTER,
    "dependencies": V6_DEPENDENCIES,
    "callback_url": V6_DEPENDENCIES,
    "architecture": V6_DEPENDENCIES,
}
"""Argument → the first version whose create call knows it. (Domain and group are from V4_OWNER too, but they have
configured defaults.)"""

ALWAYS_MEANT: Mapping[str, Any] = {
    "type": DEFAULT_TYPE,
    "enqueue_only": False,
    "max_wait": 0,
    "no_reuse": False,
    "cluster_mode": "single-node",
    "architecture": "x86_64",
}
"""Argument → the value that needs no version: what servers without the argument do."""

ROOT_KEYS: Mapping[str, str] = {
    "image": "image",
    "type": "type",
    "domain_name": "domain",
    "group_name": "group",
    "owner_access_key": "owner_access_key",
    "tag": "tag",
    "enqueue_only": "enqueueOnly",
    "max_wait": "maxWaitSeconds",
    "startup_command": "startupCommand",
    "starts_at": "starts_at",
    "bootstrap_script": "bootstrap_script",
    "dependencies": "dependencies",
    "callback_url": "callback_url",
    "architecture": "architecture",
    "cluster_mode": "clusterMode",
    "template_id": "template_id",
}
"""Argument → key at the root of the body, v5 and later."""

CONFIG_KEYS: Mapping[str, str] = {
    "mounts": "mounts",
    "mount_map": "mount_map",
    "envs": "environ",
    "resources": "resources",
    "resource_opts": "resource_opts",
    "scaling_group": "scalingGroup",
    "preopen_ports": "preopen_ports",
    "assign_agent": "agentList",
}
"""Argument → key in the body's ``config``, v5 and later. The server answers an unknown key in there with status 500."""


def new_name() -> str:
    """A random name for a session that the caller did not name."""
    return uuid.uuid4().hex


def check_name(argument: str, name: object) -> str:
    """Refuse what the manager does not take as a session's name.

    Args:
        argument: How the caller calls it.
        name: What was given.

    Returns:
        The name.

    Raises:
        InvalidArgument: It does not fit :data:`NAME_PATTERN`, or is reserved.
    """
    if not isinstance(name, str) or NAME_PATTERN.fullmatch(name) is None:
        raise InvalidArgument(argument, name, NAME_RULE)
    if name in RESERVED_NAMES:
        raise InvalidArgument(argument, name, "is a reserved name")
    return plain(name)


def chosen_name(client_token: str | None, name: str | None) -> str:
    """The session's name: whichever spelling was given, or a random one.

    Raises:
        InvalidArgument: It cannot be a name, or both were given and differ.
    """
    chosen = either("client_token", client_token or None, "name", name or None)
    return new_name() if chosen is None else check_name("client_token" if client_token else "name", chosen)


def hold_seconds(max_wait: int | None, enqueue_only: bool | None) -> float | None:
    """How long the server may keep a create call open.

    Returns:
        Seconds; None when the call only queues the session and is answered at once.
    """
    if enqueue_only:
        return None
    return max_wait + HOLD_MARGIN if max_wait else HOLD_UNLIMITED


def create_body(generation: Generation, spec: SessionSpec) -> dict[str, Any]:
    """Spell a specification for one version.

    Args:
        generation: How the server is spoken to.
        spec: What the caller asked for.

    Returns:
        The JSON body. From v5 on it holds only what was given; before, every key of that release, null where not given.

    Raises:
        InvalidArgument: A value that the server would refuse, or answer with an internal error.
        BackendAPIVersionError: An argument was given that the version does not know.
    """
    values = _checked(spec)
    for argument, needed in SINCE.items():
        if argument in values and not generation.has(needed):
            if values[argument] != ALWAYS_MEANT.get(argument):
                generation.require(f"the argument {argument} of the create call", since=needed)
            del values[argument]
    return _body_v4(generation, spec.name, values) if not generation.has(V5) else _body_v5(generation, spec, values)


def _body_v4(generation: Generation, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "tag": values.get("tag"),
        get_naming(generation.version, "name_arg"): name,
        "image" if generation.has(V4_IMAGE) else "lang": values["image"],
        "config": {
            "mounts": values.get("mounts") or [],
            "environ": values.get("envs"),
            "clusterSize": values.get("cluster_size"),
            "resources": values.get("resources") or {},
            "resource_opts": values.get("resource_opts") or {},
            "scalingGroup": values.get("scaling_group"),
        },
    }
    if generation.has(V4_OWNER):
        body |= {
            "owner_access_key": values.get("owner_access_key"),
            "domain": values.get("domain_name"),
            "group": values.get("group_name"),
            "type": values.get("type"),
            "enqueueOnly": values.get("enqueue_only"),
            "maxWaitSeconds": values.get("max_wait"),
            "reuseIfExists": not values.get("no_reuse"),
            "startupCommand": values.get("startup_command"),
        }
    return body


def _body_v5(generation: Generation, spec: SessionSpec, values: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {get_naming(generation.version, "name_arg"): spec.name}
    body |= {key: values[argument] for argument, key in ROOT_KEYS.items() if argument in values}
    config = {key: values[argument] for argument, key in CONFIG_KEYS.items() if argument in values}
    if "no_reuse" in values:
        body["reuseIfExists"] = not values["no_reuse"]
    if "cluster_size" in values:
        (body if generation.has(V6) else config)["clusterSize"] = values["cluster_size"]
    body["config"] = config
    return body


def _checked(spec: SessionSpec) -> dict[str, Any]:
    """The arguments that were given, by name, each copied into the plain type that its JSON needs."""
    values: dict[str, Any] = {}
    for argument in SessionSpec.__slots__:
        value = getattr(spec, argument)
        if value is not None and argument != "name":
            values[argument] = _CHECKS[argument](argument, value) if argument in _CHECKS else value
    if spec.template_id is None:  # a template may say the rest
        text("image", spec.image)
        session_type = values.get("type", DEFAULT_TYPE)
        if session_type == BATCH_TYPE and not spec.startup_command:
            raise InvalidArgument("startup_command", spec.startup_command, "must be given for a batch session")
        if session_type != BATCH_TYPE and spec.starts_at is not None:
            raise InvalidArgument("starts_at", spec.starts_at, "is for batch sessions only")
    return values


def _agents(argument: str, value: object) -> list[str]:
    return texts(argument, [value] if isinstance(value, str) else value)


def _ports(argument: str, value: object) -> list[int]:
    return [port(argument, item) for item in items(argument, value)]


def _session_type(argument: str, value: object) -> str:
    return choice(argument, value, SESSION_TYPES)


def _cluster_mode(argument: str, value: object) -> str:
    return choice(argument, value, CLUSTER_MODES)


_CHECKS: Mapping[str, Any] = {
    "image": text,
    "template_id": uuid_text,
    "type": _session_type,
    "max_wait": whole,
    "mounts": texts,
    "mount_map": text_mapping,
    "envs": text_mapping,
    "resources": mapping,
    "resource_opts": mapping,
    "cluster_size": count,
    "cluster_mode": _cluster_mode,
    "bootstrap_script": script,
    "preopen_ports": _ports,
    "dependencies": uuid_texts,
    "callback_url": script,
    "architecture": text,
    "assign_agent": _agents,
}
"""Argument → its check, which also copies: nothing of the caller's is changed or kept."""
