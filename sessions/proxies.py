"""The function proxies as attributes of a session, each a type made for that session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ai.backend.client import functions
from ai.backend.client.functions.base import BaseFunction, M
from ai.backend.client.functions.server import Server

T = TypeVar("T")
B = TypeVar("B", bound=BaseFunction[Any])


class proxy(Generic[T]):  # noqa: N801  # reads as a decorator
    """A function proxy as an attribute: the type for this session is made when first asked for."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__
        self._name = make.__name__

    def __get__(self, session: Any, owner: Any) -> T:
        if session is None:
            return self  # type: ignore[return-value]  # the definition, for documentation tools
        made: T = session.__dict__.setdefault(self._name, self._make(session))
        return made


class Proxies(Generic[M]):
    """One attribute per function proxy; a part of :class:`~ai.backend.client.sessions.facade.BaseSession`."""

    _bound: dict[type, type]

    @property
    def _server(self) -> Server:
        """What function proxies of this session carry."""
        raise NotImplementedError

    @proxy
    def Admin(self) -> type[functions.Admin[M]]:
        """GraphQL queries."""
        return self.bind(functions.Admin)

    @proxy
    def Agent(self) -> type[functions.Agent[M]]:
        """Agents: the nodes that run compute sessions."""
        return self.bind(functions.Agent)

    @proxy
    def AgentWatcher(self) -> type[functions.AgentWatcher[M]]:
        """The watchers beside the agents."""
        return self.bind(functions.AgentWatcher)

    @proxy
    def Auth(self) -> type[functions.Auth[M]]:
        """Login, logout, passwords."""
        return self.bind(functions.Auth)

    @proxy
    def BackgroundTask(self) -> type[functions.BackgroundTask[M]]:
        """Work that goes on after its call was answered."""
        return self.bind(functions.BackgroundTask)

    @proxy
    def ClusterTemplate(self) -> type[functions.ClusterTemplate[M]]:
        """Templates of clusters."""
        return self.bind(functions.ClusterTemplate)

    @proxy
    def ComputeSession(self) -> type[functions.ComputeSession[M]]:
        """:attr:`Kernel` under its later name."""
        return self.Kernel

    @proxy
    def Domain(self) -> type[functions.Domain[M]]:
        """Domains."""
        return self.bind(functions.Domain)

    @proxy
    def Dotfile(self) -> type[functions.Dotfile[M]]:
        """Files that are put into every session, and the bootstrap script."""
        return self.bind(functions.Dotfile)

    @proxy
    def EtcdConfig(self) -> type[functions.EtcdConfig[M]]:
        """The cluster's configuration."""
        return self.bind(functions.EtcdConfig)

    @proxy
    def Group(self) -> type[functions.Group[M]]:
        """Groups (projects)."""
        return self.bind(functions.Group)

    @proxy
    def Image(self) -> type[functions.Image[M]]:
        """Images."""
        return self.bind(functions.Image)

    @proxy
    def Kernel(self) -> type[functions.Kernel[M]]:
        """Compute sessions."""
        return self.bind(functions.Kernel)

    @proxy
    def KeyPair(self) -> type[functions.KeyPair[M]]:
        """Keypairs."""
        return self.bind(functions.KeyPair)

    @proxy
    def KeypairResourcePolicy(self) -> type[functions.KeypairResourcePolicy[M]]:
        """Resource policies of keypairs."""
        return self.bind(functions.KeypairResourcePolicy)

    @proxy
    def Manager(self) -> type[functions.Manager[M]]:
        """The manager's state."""
        return self.bind(functions.Manager)

    @proxy
    def Model(self) -> type[functions.Model[M]]:
        """Folders with models."""
        return self.bind(functions.Model)

    @proxy
    def Permission(self) -> type[functions.Permission[M]]:
        """What the caller may do with folders on each host."""
        return self.bind(functions.Permission)

    @proxy
    def ProjectResourcePolicy(self) -> type[functions.ProjectResourcePolicy[M]]:
        """Resource policies of groups (projects)."""
        return self.bind(functions.ProjectResourcePolicy)

    @proxy
    def QuotaScope(self) -> type[functions.QuotaScope[M]]:
        """How much space users and groups have on storage."""
        return self.bind(functions.QuotaScope)

    @proxy
    def Resource(self) -> type[functions.Resource[M]]:
        """Resource presets and usage."""
        return self.bind(functions.Resource)

    @proxy
    def ScalingGroup(self) -> type[functions.ScalingGroup[M]]:
        """Scaling groups."""
        return self.bind(functions.ScalingGroup)

    @proxy
    def ServerLog(self) -> type[functions.ServerLog[M]]:
        """The server's error log."""
        return self.bind(functions.ServerLog)

    @proxy
    def Service(self) -> type[functions.Service[M]]:
        """Model services."""
        return self.bind(functions.Service)

    @proxy
    def SessionTemplate(self) -> type[functions.SessionTemplate[M]]:
        """Templates of compute sessions."""
        return self.bind(functions.SessionTemplate)

    @proxy
    def Storage(self) -> type[functions.Storage[M]]:
        """Storage volumes."""
        return self.bind(functions.Storage)

    @proxy
    def System(self) -> type[functions.System[M]]:
        """The server's versions."""
        return self.bind(functions.System)

    @proxy
    def User(self) -> type[functions.User[M]]:
        """Users."""
        return self.bind(functions.User)

    @proxy
    def UserResourcePolicy(self) -> type[functions.UserResourcePolicy[M]]:
        """Resource policies of users."""
        return self.bind(functions.UserResourcePolicy)

    @proxy
    def VFolder(self) -> type[functions.VFolder[M]]:
        """Virtual folders."""
        return self.bind(functions.VFolder)

    def bind(self, function: type[B]) -> type[B]:
        """Make a function proxy's type for this session; also for proxies of your own.

        Args:
            function: A subclass of :class:`~ai.backend.client.functions.base.BaseFunction`.

        Returns:
            A subclass whose ``session`` is this session and whose ``server`` is its server, the same one each time.
        """
        made = self._bound.get(function)
        if made is not None:
            return made
        namespace = {
            "session": self,
            "server": self._server,
            "__module__": function.__module__,
            "__doc__": function.__doc__,
            "__qualname__": function.__qualname__,
        }
        return self._bound.setdefault(function, type(function.__name__, (function,), namespace))
