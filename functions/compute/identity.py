"""Which compute session an object stands for, and how its requests address it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Self

from ai.backend.client._checks import plain
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import BaseFunction, M
from ai.backend.client.functions.toolkit.generations import V5, Generation
from ai.backend.client.functions.toolkit.inputs import either, optional, text
from ai.backend.client.request import Request, segment
from ai.backend.client.versioning import get_id_or_name, get_naming


class SessionIdentity(BaseFunction[M]):
    """The state of a compute session object: what its functions are built on.

    Args:
        kernel_id: The session's name (token).
        owner_access_key: Access key of the session's owner, for administrators who act for others.
        name: Another spelling of ``kernel_id``.
        id: The session's UUID, if known.

    Attributes:
        kernel_id: The session's name on every protocol generation; None if only the UUID is known.
        id: The session's UUID, or None if it is not known (always up to v4).
        owner_access_key: As given, None when empty.
        created: After a create function: whether it made the session (else it found it).
        status: After a create function: the session's status at that moment, for example ``RUNNING``.
        service_ports: After a create function: its services, ``{"name", "protocol", "ports"}`` each.
        domain: After a create function: the session's domain, None if the server chose it.
        group: After a create function: the session's group, None if the server chose it.

    Raises:
        InvalidArgument: Neither name nor UUID was given, or one of them cannot be one.
    """

    kernel_id: str | None
    id: uuid.UUID | None
    owner_access_key: str | None
    created: bool
    status: str
    service_ports: list[dict[str, Any]]
    domain: str | None
    group: str | None

    def __init__(
        self,
        kernel_id: str | None = None,
        owner_access_key: str | None = None,
        *,
        name: str | None = None,
        id: uuid.UUID | str | None = None,
    ) -> None:
        self.kernel_id = plain(either("kernel_id", kernel_id, "name", name))
        self.id = None if id is None else session_uuid("id", id)
        self.owner_access_key = optional(text, "owner_access_key", owner_access_key or None)
        if self.kernel_id is not None or self.id is None:
            segment(self.kernel_id, "name")  # type: ignore[arg-type]  # refuses None and whatever else is no name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.kernel_id!r} id={self.id and str(self.id)!r}>"

    def _identity(self) -> Self:
        """Another object for the same session: what a stream keeps, so that the stream can be kept on this one."""
        twin = type(self).__new__(type(self))  # of the session of the `with` block, if this one has none
        twin.kernel_id, twin.id, twin.owner_access_key = self.kernel_id, self.id, self.owner_access_key
        return twin

    @property
    def name(self) -> str | None:
        """The session's name; the same as ``kernel_id``."""
        return self.kernel_id

    @name.setter
    def name(self, value: str | None) -> None:
        self.kernel_id = value

    @classmethod
    def from_session_id(cls, session_id: uuid.UUID | str, owner_access_key: str | None = None) -> Self:
        """An object for a session of which only the UUID is known. Nothing is sent; calls need v5.20191215 or later.

        Args:
            session_id: The session's UUID.
            owner_access_key: Access key of its owner, as for the constructor.

        Returns:
            The object; its ``name`` and ``kernel_id`` are None.

        Raises:
            InvalidArgument: The text is no UUID.
        """
        return cls(id=session_id, owner_access_key=owner_access_key)

    def get_session_identity_params(self) -> dict[str, str]:
        """The query parameters by which the events of v6 and later name this session. Nothing is sent.

        Returns:
            ``sessionId`` where the UUID is known, else ``sessionName``, with ``ownerAccessKey`` if the object has one
            (the vendor's client spells that ``owner_access_key``, which servers answer with status 400).
        """
        if self.id is not None:
            return {"sessionId": str(self.id)}
        owner = {} if self.owner_access_key is None else {"ownerAccessKey": self.owner_access_key}
        return {"sessionName": str(self.kernel_id), **owner}


def request_about(
    kernel: SessionIdentity[Any],
    method: str,
    suffix: str = "",
    *,
    among_ended: bool = False,
    params: Mapping[str, Any] | None = None,
    for_owner: bool = True,
    area: str = "",
    kind: type[Request] = Request,
    **options: Any,
) -> Request:
    """A request about a compute session.

    Args:
        kernel: The session.
        method: HTTP method.
        suffix: What follows the session in the path, for example ``/logs``.
        among_ended: The server looks among ended sessions too. Their names may be taken again, and a name that was
            used twice is refused (404 ``too-many-sessions-matched``), so the UUID is used where it is known.
        params: Query parameters.
        for_owner: The function can act for the owner: ``owner_access_key`` joins the query. Otherwise an object with
            one is refused, since the server would answer 400, or take the caller's own session of the same name.
        area: What precedes ``/session`` in the path, for example ``/stream``.
        kind: The request's class.
        options: Further arguments of ``kind``.
    """
    query = dict(params or {})
    if kernel.owner_access_key is not None:
        if not for_owner:
            raise InvalidArgument("owner_access_key", "(given)", f"{suffix} is for the caller's own sessions only")
        query["owner_access_key"] = kernel.owner_access_key
    if query:
        options["params"] = query
    generation = kernel.server.generation
    reference = segment(_reference(generation, kernel, among_ended))
    return kind(method, f"{area}/{get_naming(generation.version, 'path')}/{reference}{suffix}", **options)


def _reference(generation: Generation, kernel: SessionIdentity[Any], among_ended: bool) -> str:
    if kernel.kernel_id is None:
        generation.require("addressing a session by its UUID", since=V5)
        return str(kernel.id)
    return get_id_or_name(generation.version, kernel) if among_ended else kernel.kernel_id


def session_uuid(argument: str, value: object) -> uuid.UUID:
    """Read a UUID.

    Raises:
        InvalidArgument: It is none.
    """
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)  # type: ignore[arg-type]  # refuses all else
    except (ValueError, TypeError, AttributeError):
        raise InvalidArgument(argument, value, "must be a UUID") from None
