"""Replies about virtual folders.

As those of :mod:`~ai.backend.client.functions.toolkit.replies`.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class NewFolder(TypedDict):
    """A folder that was just made.

    Attributes:
        id: UUID, without dashes.
        bgtask_id: UUID of the background task that fills it, for clones.
    """

    id: str
    name: str
    host: str
    creator: str
    user: str | None
    group: str | None
    quota_scope_id: NotRequired[str]
    usage_mode: NotRequired[str]
    permission: NotRequired[str]
    max_size: NotRequired[int | None]
    ownership_type: NotRequired[str]
    cloneable: NotRequired[bool]
    status: NotRequired[str]
    unmanaged_path: NotRequired[str]
    bgtask_id: NotRequired[str]


class DownloadTicket(TypedDict):
    """What lets anybody download a file.

    Attributes:
        token: Belongs into the query as ``token``; a secret.
        url: Where; from v6.20200815 on.
    """

    token: str
    url: NotRequired[str]


class FolderItem(TypedDict):
    """A folder, in a list.

    Attributes:
        id: UUID, without dashes.
        type: ``user`` or ``group``.
        max_size: MiB, None for no limit.
    """

    name: str
    id: str
    host: str
    created_at: str
    is_owner: bool
    permission: str
    user: str | None
    group: str | None
    creator: str | None
    user_email: str | None
    group_name: str | None
    type: str
    quota_scope_id: NotRequired[str]
    status: NotRequired[str]
    usage_mode: NotRequired[str]
    ownership_type: NotRequired[str]
    cloneable: NotRequired[bool]
    max_files: NotRequired[int | None]
    max_size: NotRequired[int | None]
    cur_size: NotRequired[int | None]


class FolderInfo(TypedDict):
    """A folder. ``user`` and ``group`` may be the text ``None``."""

    name: str
    id: str
    host: str
    numFiles: int
    num_files: NotRequired[int]
    created: str
    created_at: NotRequired[str]
    last_used: NotRequired[str]
    user: str | None
    group: str | None
    type: str
    is_owner: bool
    permission: str
    quota_scope_id: NotRequired[str]
    status: NotRequired[str]
    used_bytes: NotRequired[int]
    usage_mode: NotRequired[str]
    cloneable: NotRequired[bool]
    max_size: NotRequired[int | None]
    cur_size: NotRequired[int | None]


class ModelInfo(FolderInfo):
    """A model's folder, and its versions, descending."""

    versions: list[str]


class HostList(TypedDict):
    """The hosts that folders may be on. ``volume_info`` tells backend, capabilities and use of each (20.09)."""

    default: str | None
    allowed: list[str]
    volume_info: NotRequired[dict[str, dict[str, Any]]]


class FolderFile(TypedDict):
    """A file of a folder; ``type`` is ``FILE``, ``DIRECTORY`` or ``SYMLINK``, ``mode`` three octal digits."""

    name: str
    type: str
    size: int
    mode: str
    created: str
    modified: str


class FolderFiles(TypedDict):
    """A directory of a folder.

    Attributes:
        files: JSON text: a list of ``mode``, ``size``, ``ctime``, ``mtime``, ``atime`` (seconds) and ``filename``.
        items: The same as values (20.09).
    """

    files: str
    items: NotRequired[list[FolderFile]]


class Invitation(TypedDict):
    """An invitation to use a folder; ``inviter`` and ``invitee`` are e-mail addresses."""

    id: str
    inviter: str
    invitee: str
    perm: str
    state: str
    created_at: str
    modified_at: NotRequired[str]
    vfolder_id: str
    vfolder_name: str


class Invitations(TypedDict):
    """Invitations that are open."""

    invitations: list[Invitation]


class Invited(TypedDict):
    """The e-mail addresses of the people that were invited; who was invited already is not among them."""

    invited_ids: list[str]


class SharedEmails(TypedDict):
    """The e-mail addresses of the people that a folder was shared with."""

    shared_emails: list[str]


class UnsharedEmails(TypedDict):
    """The e-mail addresses of the people that a folder is shared with no more."""

    unshared_emails: list[str]


class SharedTo(TypedDict):
    """Whom a folder is shared with."""

    uuid: str
    email: str


class SharedFolder(TypedDict):
    """A folder that is shared, and with whom.

    Attributes:
        owner: UUID of the user or group.
        type: ``user`` or ``project``.
        perm: ``ro``, ``rw`` or ``wd``.
    """

    vfolder_id: str
    vfolder_name: str
    status: NotRequired[str]
    owner: NotRequired[str]
    type: NotRequired[str]
    shared_to: SharedTo
    perm: str


class SharedFolders(TypedDict):
    """Folders that are shared, once per person."""

    shared: list[SharedFolder]


class FstabContents(TypedDict):
    """The file ``/etc/fstab`` of a node."""

    content: str
    node: str
    node_id: str


class NodeMounts(TypedDict):
    """What is mounted on a node."""

    success: bool
    mounts: list[Any]
    message: str


FolderMounts = TypedDict(
    "FolderMounts",
    {"manager": NodeMounts, "agents": dict[str, NodeMounts], "storage-proxy": NotRequired[NodeMounts]},
)
"""What is mounted on the nodes."""


class NodeOutcome(TypedDict):
    """Whether something was done on a node."""

    success: bool
    message: str


class MountOutcome(TypedDict):
    """Whether something was done, node by node."""

    manager: NodeOutcome
    agents: dict[str, NodeOutcome]


class FolderUsage(TypedDict):
    """How many files a folder has, and how large they are."""

    file_count: int
    used_bytes: int


class FolderUsedBytes(TypedDict):
    """How large a folder is."""

    used_bytes: int


class FolderQuota(TypedDict):
    """How large a folder may become."""

    size_bytes: int


class Message(TypedDict):
    """The outcome of a call, in words."""

    msg: str
