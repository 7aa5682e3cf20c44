"""Answers that a manager could give, made up from the request: the least that functions can read."""

from __future__ import annotations

import io
import re
import tarfile
from typing import Any

from graphql import (
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)

from support.golden.schema import saved_schema

STORAGE = "http://storage.example/transfer"
UUID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
CREATED = {"kernelId": "mine", "sessionId": UUID, "status": "RUNNING", "servicePorts": [], "created": True}

ANSWERS: list[tuple[str, Any]] = [
    ("GET /", {"version": "v7.20230615", "manager": "23.09.10"}),
    ("POST /(kernel/create|session|session/_/create-from-template)", CREATED),
    ("POST /(kernel|session)/[^/]+(/complete)?", {"result": {"runId": "r1", "status": "finished", "console": []}}),
    ("GET /stream/(kernel|session)/[^/]+/apps", []),
    ("POST /auth/authorize", {"data": {"access_key": "AK1", "secret_key": "SK1", "role": "user"}}),
    ("POST /config/get", {"result": None}),
    ("POST /config/(set|delete)", {"result": "ok"}),
    ("GET /config/vfolder-types", ["user"]),
    ("GET /resource/presets", {"presets": []}),
    ("GET /resource/(usage|stats)/.*", []),
    ("GET /scaling-groups", {"scaling_groups": []}),
    ("GET /(user|domain|group)-config/dotfiles", []),
    ("GET /logs/error", {"logs": [], "count": 0}),
    ("POST /template/cluster", {"id": UUID, "user": UUID}),
    ("POST /template/session", [{"id": UUID, "user": UUID}]),
    ("GET /(folders|folders/_/allowed.types|services|template/(session|cluster))", []),
    ("GET /folders/_/hosts", {"default": "local:volume1", "allowed": ["local:volume1"]}),
    ("GET /folders/_/shared", {"shared": []}),
    ("GET /folders/invitations/list", {"invitations": []}),
    ("POST /services", {"endpoint_id": UUID}),
    ("POST /folders", {"id": UUID, "name": "f"}),
    ("POST /folders/[^/]+/request.(down|up)load", {"token": "jwt", "url": STORAGE}),
]
"""Request → an answer that is not an empty object. Patterns match whole requests; the first one counts."""

WRAPPED = {"/folders/_/usage", "/folders/_/used-bytes"}
NUMBERS = {"Int": 0, "Float": 0.0, "Boolean": True}


def reply_to(request: dict[str, Any], *, wraps: bool = False) -> dict[str, Any]:
    """An answer to a request as `support.golden.wire` writes it: a storage proxy's, one of :data:`ANSWERS`, or what a
    document selects. As in data: `status`, `headers`, `json` or `body`.

    Args:
        request: The request.
        wraps: As managers from 26.3 on, which put some answers under `data`.
    """
    if f"PATCH {STORAGE}" == request["send"]:
        stored = int(request["headers"]["upload-offset"]) + len(request.get("body", ""))
        return {"status": 204, "headers": {"Upload-Offset": str(stored)}}
    if f"GET {STORAGE}" == request["send"]:
        return {"body": "content", "headers": {"Last-Modified": "Wed, 01 Nov 2023 00:00:00 GMT"}}
    answer = _json_reply(request)
    if wraps and "graphql" in request:
        return {"json": {"data": answer, "errors": None}}
    return {"json": {"data": answer} if wraps and request["send"].split()[-1] in WRAPPED else answer}


def _json_reply(request: dict[str, Any]) -> Any:
    if "graphql" not in request:
        return next((answer for pattern, answer in ANSWERS if re.fullmatch(pattern, request["send"])), {})
    operation = parse(request["graphql"]).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    schema = saved_schema()
    root = schema.mutation_type if operation.operation is OperationType.MUTATION else schema.query_type
    return _object(root, operation.selection_set)


def parts(files: dict[str, str]) -> tuple[dict[str, str], bytes]:
    """The answer to a download from a folder through an old manager: name → content."""
    body = "".join(
        f'--part\r\nContent-Disposition: attachment; filename="{name}"\r\n'
        f"Content-Encoding: identity\r\n\r\n{content}\r\n"
        for name, content in files.items()
    )
    return {"Content-Type": "multipart/mixed; boundary=part"}, f"{body}--part--\r\n".encode()


def archives(contents: list[dict[str, str]]) -> tuple[dict[str, str], bytes]:
    """The answer to a download from a compute session: one tar archive per path, each given as name → content."""
    parts = b""
    for files in contents:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content.encode())
                archive.addfile(member, io.BytesIO(content.encode()))
        parts += b"--part\r\nContent-Type: application/octet-stream\r\n\r\n" + packed.getvalue() + b"\r\n"
    return {"Content-Type": "multipart/mixed; boundary=part"}, parts + b"--part--\r\n"


def _object(kind: GraphQLObjectType | None, selection: SelectionSetNode | None) -> dict[str, Any]:
    selected: dict[str, Any] = {}
    for node in selection.selections if selection else ():
        name = node.name.value  # type: ignore[union-attr]  # documents of the client hold no fragments
        field = kind.fields.get(name) if kind else None
        selected[name] = _value(field and field.type, node.selection_set)  # type: ignore[union-attr]  # field or None
    return selected


def _value(kind: Any, selection: SelectionSetNode | None) -> Any:
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    if isinstance(kind, GraphQLList):
        return []
    if selection:
        return _object(kind, selection)
    return NUMBERS.get(getattr(kind, "name", ""))
