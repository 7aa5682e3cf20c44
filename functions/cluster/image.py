"""Images.

======================  ==========================  ============  ========
Function                Request                     For           Since
======================  ==========================  ============  ========
list                    GraphQL ``images``          everybody
detail                  GraphQL ``image``           everybody
rescan_images           GraphQL ``rescan_images``   admins
alias_image             GraphQL ``alias_image``     superadmins
dealias_image           GraphQL ``dealias_image``   superadmins
forget_image            GraphQL ``forget_image``    superadmins
modify_image            GraphQL ``modify_image``    superadmins   22.03
clear_images            GraphQL ``clear_images``    superadmins   22.03
preload_image           GraphQL ``preload_image``   superadmins   20.03
unload_image            GraphQL ``unload_image``    superadmins   20.03
get_image_import_form   GET /image/import           admins        to 23.09
build                   POST /image/import          admins        to 23.09
======================  ==========================  ============  ========
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.cluster.replies import ImportedImage, TaskResult
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import IMAGE, Fields, chosen
from ai.backend.client.functions.toolkit.generations import IMAGE_IMPORT, V5, V6_DEPENDENCIES, V6_LOWER_CASE, Generation
from ai.backend.client.functions.toolkit.graphql import Row, Rows, Variable
from ai.backend.client.functions.toolkit.inputs import changes, flag, free_text, int32, mapping, optional, text, texts
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.functions.toolkit.replies import MutationResult
from ai.backend.client.request import Request

__all__ = ["Image"]

FIELDS: Final = ("name", "tag", "hash")
BUILD_KEYS: Final = (
    "src", "target", "architecture", "launchOptions", "brand", "baseDistro", "minCPU", "minMemory",
    "preferredSharedMemory", "supportedAccelerators", "runtimeType", "runtimePath", "CPUCountEnvs", "servicePorts",
)  # fmt: skip
SINCE: Final = {"is_local": V6_LOWER_CASE}
LIMIT_KEYS: Final = ("min", "max")


class Image(BaseFunction[M]):
    """What sessions run.

    References are ``registry/name:tag``, or an alias. From 22.03 on an image has an architecture, too; managers assume
    ``x86_64`` where none is given.
    """

    @api_class_function
    def list(
        cls, operation: bool = False, fields: Fields | None = None, *, is_installed: bool | None = None
    ) -> Recipe[Rows]:
        """All images that the manager knows and the caller may use.

        Args:
            operation: Also those made for the system's own work.
            fields: What to tell about each.
            is_installed: Only those that some agent has (True), or none (False).

        Returns:
            One object per image.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``images``.
        """
        arguments = {
            "is_installed": Variable("Boolean", optional(flag, "is_installed", is_installed)),
            "is_operation": Variable("Boolean", flag("operation", operation)),
        }
        return (yield from graphql.select_list("images", chosen(fields, FIELDS), arguments, IMAGE))

    @api_class_function
    def detail(cls, reference: str, arch: str | None = None, fields: Fields | None = None) -> Recipe[Row | None]:
        """One image.

        Args:
            reference: Its reference or alias.
            arch: Its architecture, such as ``aarch64``; needs v6.20220315.
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: ``arch`` on an older server.
            BackendAPIError: 400 from managers that call an unknown image an error (23.09).

        Idempotent. GraphQL ``image``.
        """
        arguments = {
            "reference": Variable("String!", text("reference", reference)),
            "architecture": _architecture(cls.server.generation, arch),
        }
        return (yield from graphql.select_object("image", chosen(fields, FIELDS), arguments, IMAGE))

    @api_class_function
    def rescan_images(cls, registry: str | None = None) -> Recipe[TaskResult]:
        """Look for new images in the registries.

        Args:
            registry: Host of a registry; default: all of them.

        Returns:
            ``{"ok", "msg", "task_id"}``: the background task that does it. Up to v4 there is no task; the answer comes
            when it is done.

        Raises:
            InvalidArgument: The name is empty.

        Repeatable, but not repeated by itself. GraphQL ``rescan_images``.
        """
        arguments = {"registry": Variable("String", optional(text, "registry", registry))}
        result = "task_id" if cls.server.generation.has(V5) else ""
        return (yield from graphql.mutate("rescan_images", arguments, result, shape=TaskResult))

    @api_class_function
    def alias_image(cls, alias: str, target: str, arch: str | None = None) -> Recipe[MutationResult]:
        """Give an image another name.

        Args:
            alias: The name.
            target: The image's reference.
            arch: The image's architecture; needs v6.20220315.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is empty.
            BackendAPIVersionError: ``arch`` on an older server.
            BackendAPIError: 400 when the alias is taken or the image unknown (23.09).

        Not idempotent. GraphQL ``alias_image``.
        """
        arguments = {
            "alias": Variable("String!", text("alias", alias)),
            "target": Variable("String!", text("target", target)),
            "architecture": _architecture(cls.server.generation, arch),
        }
        return (yield from graphql.mutate("alias_image", arguments))

    @api_class_function
    def dealias_image(cls, alias: str) -> Recipe[MutationResult]:
        """Remove an alias.

        Args:
            alias: The alias.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: It is empty.
            BackendAPIError: 400 when there is none (23.09).

        Not idempotent. GraphQL ``dealias_image``.
        """
        return (yield from graphql.mutate("dealias_image", {"alias": Variable("String!", text("alias", alias))}))

    @api_class_function
    def forget_image(cls, reference: str, arch: str | None = None) -> Recipe[MutationResult]:
        """Remove an image from the manager's list; registries and agents keep it.

        Args:
            reference: Its reference or alias.
            arch: Its architecture; needs v6.20220315.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is empty.
            BackendAPIVersionError: ``arch`` on an older server.
            BackendAPIError: 400 when it is unknown (23.09).

        Not idempotent. GraphQL ``forget_image``.
        """
        arguments = {
            "reference": Variable("String!", text("reference", reference)),
            "architecture": _architecture(cls.server.generation, arch),
        }
        return (yield from graphql.mutate("forget_image", arguments))

    @api_class_function
    def modify_image(
        cls,
        target: str,
        arch: str | None = None,
        *,
        name: str | None = None,
        registry: str | None = None,
        image: str | None = None,
        tag: str | None = None,
        architecture: str | None = None,
        is_local: bool | None = None,
        size_bytes: int | None = None,
        type: str | None = None,
        digest: str | None = None,
        labels: Mapping[str, str] | None = None,
        supported_accelerators: Iterable[str] | None = None,
        resource_limits: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Recipe[MutationResult]:
        """Change what the manager knows about an image. What is not given stays as it is.

        Args:
            target: The image's reference.
            arch: The image's architecture.
            name: Its new reference.
            registry: Its new registry.
            image: Its new name in the registry.
            tag: Its new tag.
            architecture: Its new architecture.
            is_local: Whether only an agent has it; needs v6.20230315.
            size_bytes: Its size.
            type: ``compute``, ``system`` or ``service``.
            digest: Its digest.
            labels: All its labels.
            supported_accelerators: The accelerators that it can use.
            resource_limits: Slot → ``{"min": amount, "max": amount}``, each as text and either of them; replaces all.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is unusable, or there is nothing to change.
            BackendAPIVersionError: The server is older than v6.20220315, or than what ``is_local`` needs.

        Repeatable, but not repeated by itself. GraphQL ``modify_image``. Without limits the document has a null for
        them, and an empty text for an amount that is not given: manager 23.09 fails where they are missing, every
        manager takes both for nothing.
        """
        cls.server.generation.require("Image.modify_image", since=V6_DEPENDENCIES)
        props = changes(
            name=optional(text, "name", name),
            registry=optional(text, "registry", registry),
            image=optional(text, "image", image),
            tag=optional(text, "tag", tag),
            architecture=optional(text, "architecture", architecture),
            is_local=optional(flag, "is_local", is_local),
            size_bytes=optional(int32, "size_bytes", size_bytes),
            type=optional(text, "type", type),
            digest=optional(text, "digest", digest),
            labels=optional(_pairs, "labels", labels),
            supported_accelerators=optional(texts, "supported_accelerators", supported_accelerators),
            resource_limits=optional(_limits, "resource_limits", resource_limits),
        )
        cls.server.generation.require_arguments("Image.modify_image", props, SINCE)
        arguments = {
            "target": Variable("String!", text("target", target)),
            "architecture": _architecture(cls.server.generation, arch),
            "props": Variable("ModifyImageInput!", {"resource_limits": None, **props}),
        }
        return (yield from graphql.mutate("modify_image", arguments))

    @api_class_function
    def clear_images(cls, registry: str) -> Recipe[MutationResult]:
        """Remove all images of a registry from the manager's list.

        Args:
            registry: Host of the registry. (The manager calls it optional, and fails without.)

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: The name is empty.
            BackendAPIVersionError: The server is older than v6.20220315.

        Repeatable, but not repeated by itself. GraphQL ``clear_images``.
        """
        cls.server.generation.require("Image.clear_images", since=V6_DEPENDENCIES)
        return (yield from graphql.mutate("clear_images", {"registry": Variable("String", text("registry", registry))}))

    @api_class_function
    def preload_image(cls, references: Iterable[str], target_agents: Iterable[str]) -> Recipe[TaskResult]:
        """Have agents fetch images. No manager up to 23.09 does it: they answer ``ok: false``, ``Not implemented.``.

        Args:
            references: References of the images.
            target_agents: Ids of the agents.

        Returns:
            ``{"ok", "msg", "task_id"}``.

        Raises:
            InvalidArgument: An argument is no list of texts.
            BackendAPIVersionError: The server is older than v5.20191215.

        Repeatable, but not repeated by itself. GraphQL ``preload_image``.
        """
        return (yield from _on_agents(cls.server.generation, "preload_image", references, target_agents))

    @api_class_function
    def unload_image(cls, references: Iterable[str], target_agents: Iterable[str]) -> Recipe[TaskResult]:
        """Have agents remove images. No manager up to 23.09 does it: they answer ``ok: false``, ``Not implemented.``.

        Args:
            references: References of the images.
            target_agents: Ids of the agents.

        Returns:
            ``{"ok", "msg", "task_id"}``.

        Raises:
            InvalidArgument: An argument is no list of texts.
            BackendAPIVersionError: The server is older than v5.20191215.

        Repeatable, but not repeated by itself. GraphQL ``unload_image``.
        """
        return (yield from _on_agents(cls.server.generation, "unload_image", references, target_agents))

    @api_class_function
    def get_image_import_form(cls) -> Recipe[dict[str, Any]]:
        """The questions whose answers :meth:`build` takes.

        Returns:
            ``{"fieldGroups": [{"name", "fields": [{"name", "type", "label", "placeholder", "help", ...}]}]}``.

        Raises:
            BackendAPIVersionError: The server's release is 24.03 or later.

        Idempotent. ``GET /image/import``.
        """
        cls.server.generation.require("get_image_import_form", gone=IMAGE_IMPORT)
        response = yield Request("GET", "/image/import")
        return expect_object(response)

    @api_class_function
    def build(cls, /, **kwargs: Any) -> Recipe[ImportedImage]:
        """Make an image for sessions out of another one, in a session of its own.

        Args:
            kwargs: ``src`` and ``target`` (references), ``architecture``, ``launchOptions`` (``{"scalingGroup",
                "group"}``), ``brand``, ``baseDistro`` (``ubuntu`` or ``centos``), ``minCPU``, ``minMemory`` (such as
                ``64m``), ``preferredSharedMemory``, ``supportedAccelerators`` (list), ``runtimeType`` (``python``),
                ``runtimePath``, ``CPUCountEnvs`` (list), ``servicePorts`` (list of ``{"name", "protocol", "ports"}``).

        Returns:
            ``{"importTask": {"sessionId", "taskId"}}``.

        Raises:
            InvalidArgument: Another key, or an empty source or target.
            BackendAPIVersionError: The server's release is 24.03 or later.
            BackendAPIError: 400 for values that the manager does not take.

        Not idempotent. ``POST /image/import``.
        """
        cls.server.generation.require("Image.build", gone=IMAGE_IMPORT)
        for key in kwargs:
            if key not in BUILD_KEYS:
                raise InvalidArgument(key, kwargs[key], f"is none of {', '.join(BUILD_KEYS)}")
        body = {**kwargs, **{key: text(key, kwargs.get(key)) for key in ("src", "target")}}
        response = yield Request("POST", "/image/import", json=body)
        return expect_object(response, shape=ImportedImage)


def _architecture(generation: Generation, arch: str | None) -> Variable:
    if arch is not None:
        generation.require("the argument arch", since=V6_DEPENDENCIES)
    return Variable("String", optional(text, "arch", arch))


def _pairs(argument: str, value: object) -> list[dict[str, str]]:
    return [
        {"key": text(argument, key), "value": free_text(argument, item)}
        for key, item in mapping(argument, value).items()
    ]


def _limits(argument: str, value: object) -> list[dict[str, str]]:
    limits = []
    for slot, bounds in mapping(argument, value).items():
        given = mapping(argument, bounds)
        if unknown := given.keys() - set(LIMIT_KEYS):
            raise InvalidArgument(argument, sorted(map(str, unknown)), f"must be of {', '.join(LIMIT_KEYS)}")
        amounts = {key: str(given[key]) if given.get(key) is not None else "" for key in LIMIT_KEYS}
        limits.append({"key": text(argument, slot), **amounts})
    return limits


def _on_agents(
    generation: Generation, root: str, references: Iterable[str], target_agents: Iterable[str]
) -> Recipe[TaskResult]:
    generation.require(f"Image.{root}", since=V5)
    arguments = {
        "references": Variable("[String]!", texts("references", references)),
        "target_agents": Variable("[String]!", texts("target_agents", target_agents)),
    }
    return (yield from graphql.mutate(root, arguments, "task_id", shape=TaskResult))
