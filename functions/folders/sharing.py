"""Using virtual folders together. ``F`` is ``/folders/{name}``.

======================  ======================================  =====================================  ============
Function                Request                                 Body (or query, for GET)               Since
======================  ======================================  =====================================  ============
invite                  POST F/invite                           ``perm``, ``user_ids``
invitations             GET /folders/invitations/list
list_sent_invitations   GET /folders/invitations/list_sent
accept_invitation       POST /folders/invitations/accept        ``inv_id``
update_invitation       POST /folders/invitations/update/{id}   ``perm``
delete_invitation       DELETE /folders/invitations/delete      ``inv_id``
leave                   POST F/leave                            ``shared_user_uuid``                   v5
share                   POST F/share                            ``permission``, ``emails``             v6.20210815
unshare                 DELETE F/unshare                        ``emails``                             v6.20210815
list_shared_vfolders    GET /folders/_/shared                                                          v6.20230315
shared_vfolder_info     GET /folders/_/shared                   ``vfolder_id``                         v5
update_shared_vfolder   POST /folders/_/shared                  ``vfolder``, ``user``, ``perm``        v5
======================  ======================================  =====================================  ============
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import M, Recipe, api_class_function, api_function
from ai.backend.client.functions.folders.identity import PERMISSIONS, FolderIdentity
from ai.backend.client.functions.folders.replies import (
    Invitations,
    Invited,
    Message,
    SharedEmails,
    SharedFolders,
    UnsharedEmails,
)
from ai.backend.client.functions.toolkit.generations import V5, V6_FILTER, V6_LOWER_CASE
from ai.backend.client.functions.toolkit.inputs import choice, given, optional, texts, uuid_text
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.request import Request


class FolderSharing(FolderIdentity[M]):
    """Invitations to a user's folder, and permissions for a group's."""

    # -- A user's folder ----------------------------------------------------------------------------------------------

    @api_function
    def invite(self, perm: str, emails: Iterable[str]) -> Recipe[Invited]:
        """Invite people to the caller's folder.

        Args:
            perm: What they may do: ``ro``, ``rw`` or ``wd``.
            emails: Their e-mail addresses, at least one.

        Returns:
            ``{"invited_ids": [...]}``: who was invited now; who was before is left out.

        Raises:
            InvalidArgument: Another permission, or no addresses.
            BackendAPIError: 404 for an unknown folder, or when none of the people is known; 400
                ``vfolder-already-exists`` when one of them has a folder of that name; 403 for a folder with a dot in
                front.

        Not idempotent: a second call invites nobody and says so. ``POST F/invite``.
        """
        body = {"perm": choice("perm", perm, PERMISSIONS), "user_ids": _emails(emails)}
        response = yield Request("POST", self._path("/invite"), json=body)
        return expect_object(response, shape=Invited)

    @api_class_function
    def invitations(cls) -> Recipe[Invitations]:
        """Invitations to the caller that are open.

        Idempotent. ``GET /folders/invitations/list``.
        """
        response = yield Request("GET", "/folders/invitations/list")
        return expect_object(response, shape=Invitations)

    @api_class_function
    def list_sent_invitations(cls) -> Recipe[Invitations]:
        """Invitations by the caller that are open.

        Idempotent. ``GET /folders/invitations/list_sent``, the spelling that every manager serves.
        """
        response = yield Request("GET", "/folders/invitations/list_sent")
        return expect_object(response, shape=Invitations)

    @api_class_function
    def accept_invitation(cls, inv_id: str | uuid.UUID) -> Recipe[dict[str, Any]]:
        """Accept an invitation: the folder becomes one of those that the caller can use.

        Args:
            inv_id: The invitation's UUID.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: It is no UUID.
            BackendAPIError: 404 for an unknown invitation, 400 ``vfolder-already-exists`` when the caller has a folder
                of that name.

        Not idempotent. ``POST /folders/invitations/accept``.
        """
        body = {"inv_id": uuid_text("inv_id", inv_id)}
        response = yield Request("POST", "/folders/invitations/accept", json=body)
        return expect_object(response)

    @api_class_function
    def update_invitation(cls, inv_id: str | uuid.UUID, perm: str) -> Recipe[Message]:
        """Change what an open invitation by the caller permits.

        Args:
            inv_id: The invitation's UUID.
            perm: ``ro``, ``rw`` or ``wd``.

        Returns:
            ``{"msg": text}``, also when there is no such invitation.

        Raises:
            InvalidArgument: It is no UUID, or another permission.

        Idempotent. ``POST /folders/invitations/update/{inv_id}``.
        """
        path = f"/folders/invitations/update/{uuid_text('inv_id', inv_id)}"
        body = {"perm": choice("perm", perm, PERMISSIONS)}
        response = yield Request("POST", path, json=body, idempotent=True)
        return expect_object(response, shape=Message)

    @api_class_function
    def delete_invitation(cls, inv_id: str | uuid.UUID) -> Recipe[dict[str, Any]]:
        """Decline an invitation to the caller, or take back one by the caller.

        Args:
            inv_id: The invitation's UUID.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: It is no UUID.
            BackendAPIError: 404 or (23.09) 500 for an unknown invitation.

        Not idempotent. ``DELETE /folders/invitations/delete``.
        """
        body = {"inv_id": uuid_text("inv_id", inv_id)}
        response = yield Request("DELETE", "/folders/invitations/delete", json=body)
        return expect_object(response)

    @api_function
    def leave(self, shared_user_uuid: str | uuid.UUID | None = None) -> Recipe[Message]:
        """Stop using a folder that somebody shared.

        Args:
            shared_user_uuid: Take another user out of it (superadmins). From v6.20230315 on.

        Returns:
            ``{"msg": text}``.

        Raises:
            InvalidArgument: It is no UUID.
            BackendAPIVersionError: The server is older than v5.20191215, or than the argument needs.
            BackendAPIError: 400 for a group's folder, or the caller's own.

        Not idempotent. ``POST F/leave``.
        """
        body = given(shared_user_uuid=optional(uuid_text, "shared_user_uuid", shared_user_uuid))
        self.server.generation.require("leave", since=V6_LOWER_CASE if body else V5)
        response = yield Request("POST", self._path("/leave"), json=body)
        return expect_object(response, shape=Message)

    # -- A group's folder ---------------------------------------------------------------------------------------------

    @api_function
    def share(self, perm: str, emails: Iterable[str]) -> Recipe[SharedEmails]:
        """Give members of the group that owns the folder permissions of their own; for administrators.

        Args:
            perm: ``ro``, ``rw`` or ``wd``.
            emails: Their e-mail addresses, at least one.

        Returns:
            ``{"shared_emails": [...]}``.

        Raises:
            InvalidArgument: Another permission, or no addresses.
            BackendAPIVersionError: The server is older than v6.20210815.
            BackendAPIError: 404 for a folder that is no group's, or people who are not in the group.

        Idempotent. ``POST F/share``, since 21.03.
        """
        self.server.generation.require("share", since=V6_FILTER)
        body = {"permission": choice("perm", perm, PERMISSIONS), "emails": _emails(emails)}
        response = yield Request("POST", self._path("/share"), json=body, idempotent=True)
        return expect_object(response, shape=SharedEmails)

    @api_function
    def unshare(self, emails: Iterable[str]) -> Recipe[UnsharedEmails]:
        """Take back what :meth:`share` gave; for administrators.

        Args:
            emails: The members' e-mail addresses, at least one.

        Returns:
            ``{"unshared_emails": [...]}``.

        Raises:
            InvalidArgument: No addresses.
            BackendAPIVersionError: The server is older than v6.20210815.
            BackendAPIError: 404 for a folder that is no group's, or when none of the people is known.

        Idempotent. ``DELETE F/unshare``, since 21.03.
        """
        self.server.generation.require("unshare", since=V6_FILTER)
        response = yield Request("DELETE", self._path("/unshare"), json={"emails": _emails(emails)}, idempotent=True)
        return expect_object(response, shape=UnsharedEmails)

    # -- Permissions of either kind -----------------------------------------------------------------------------------

    @api_class_function
    def list_shared_vfolders(cls) -> Recipe[SharedFolders]:
        """Folders that are shared, and with whom.

        Returns:
            ``{"shared": [...]}``. Managers of 23.09 tell everybody's.

        Raises:
            BackendAPIVersionError: The server is older than v6.20230315.

        Idempotent. ``GET /folders/_/shared``.
        """
        cls.server.generation.require("list_shared_vfolders", since=V6_LOWER_CASE)
        response = yield Request("GET", "/folders/_/shared")
        return expect_object(response, shape=SharedFolders)

    @api_class_function
    def shared_vfolder_info(cls, vfolder_id: str | uuid.UUID) -> Recipe[SharedFolders]:
        """With whom a folder is shared.

        Args:
            vfolder_id: The folder's UUID.

        Returns:
            ``{"shared": [...]}``, empty when it is shared with nobody.

        Raises:
            InvalidArgument: It is no UUID.
            BackendAPIVersionError: The server is older than v5.20191215.

        Idempotent. ``GET /folders/_/shared`` with query ``vfolder_id``.
        """
        cls.server.generation.require("shared_vfolder_info", since=V5)
        response = yield Request("GET", "/folders/_/shared", params={"vfolder_id": uuid_text("vfolder_id", vfolder_id)})
        return expect_object(response, shape=SharedFolders)

    @api_class_function
    def update_shared_vfolder(
        cls, vfolder: str | uuid.UUID, user: str | uuid.UUID, perm: str | None = None
    ) -> Recipe[Message]:
        """Change what somebody may do with a folder that is shared with them.

        Args:
            vfolder: The folder's UUID.
            user: The user's UUID.
            perm: ``ro``, ``rw`` or ``wd``. **None ends the sharing**; it is the one argument of this proxy that is sent
                as an explicit null.

        Returns:
            ``{"msg": text}``, also when the folder is not shared with them.

        Raises:
            InvalidArgument: One is no UUID, or another permission.
            BackendAPIVersionError: The server is older than v5.20191215.

        Idempotent. ``POST /folders/_/shared``.
        """
        cls.server.generation.require("update_shared_vfolder", since=V5)
        body = {
            "vfolder": uuid_text("vfolder", vfolder),
            "user": uuid_text("user", user),
            "perm": None if perm is None else choice("perm", perm, PERMISSIONS),
        }
        response = yield Request("POST", "/folders/_/shared", json=body, idempotent=True)
        return expect_object(response, shape=Message)


def _emails(emails: object) -> list[str]:
    addresses = texts("emails", emails)
    if not addresses:
        raise InvalidArgument("emails", emails, "must hold at least one address")
    return addresses
