"""What the server says of itself. Public.

====================  ========
Function              Request
====================  ========
get_versions          GET /
get_manager_version   GET /
get_api_version       GET /
====================  ========
"""

from __future__ import annotations

from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.toolkit.reading import expect_object, field
from ai.backend.client.functions.toolkit.replies import VersionInfo
from ai.backend.client.request import Request

__all__ = ["System"]


class System(BaseFunction[M]):
    """Versions of the server."""

    @api_class_function
    def get_versions(cls) -> Recipe[VersionInfo]:
        """Both versions.

        Idempotent. ``GET /``.
        """
        return (yield from _versions())

    @api_class_function
    def get_manager_version(cls) -> Recipe[str]:
        """The manager's release, for example ``23.09.10``.

        Raises:
            InvalidReply: The server does not tell (it did not before 20.03).

        Idempotent. ``GET /``.
        """
        versions = yield from _versions()
        release: str = field(versions, "manager")
        return release

    @api_class_function
    def get_api_version(cls) -> Recipe[str]:
        """The server's latest API version, for example ``v7.20230615``. See also ``session.api_version``.

        Idempotent. ``GET /``.
        """
        versions = yield from _versions()
        version: str = field(versions, "version")
        return version


def _versions() -> Recipe[VersionInfo]:
    response = yield Request("GET", "/")
    return expect_object(response, shape=VersionInfo)
