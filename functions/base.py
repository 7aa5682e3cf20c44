"""How an API function is written, and how it becomes callable.

A recipe is a generator: it yields what it needs done (a :class:`~ai.backend.client.request.Request`, or an
:class:`Offload` for work that blocks), is resumed with the answer, and returns the function's value. It knows no thread
and no socket, so that one definition serves blocking and future-returning sessions::

    class Manager(BaseFunction[M]):
        @api_class_function
        def status(cls) -> Recipe[dict[str, Any]]:
            response = yield Request("GET", "/manager/status")
            return expect_object(response)

What a recipe needs to know of the server, it asks ``cls.server`` (or ``self.server``): a
:class:`~ai.backend.client.functions.server.Server`. It never asks the session.

Bad input raises :class:`~ai.backend.client.exceptions.InvalidArgument` before the first ``yield``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from types import GeneratorType, NoneType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Generic,
    NoReturn,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    overload,
)

from ai.backend.client._checks import plain
from ai.backend.client._current import current_session, session_of
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.steps import Gather, Offload, Pause
from ai.backend.client.request import Request
from ai.backend.client.types import undefined

if TYPE_CHECKING:
    from ai.backend.client.functions.server import Server

__all__ = [
    "ApiFunction",
    "Async",
    "BaseFunction",
    "BlockingFunction",
    "BoundFunction",
    "FutureFunction",
    "Gather",
    "M",
    "Offload",
    "Pause",
    "Recipe",
    "Sync",
    "api_class_function",
    "api_factory",
    "api_function",
]


class Sync:
    """Type marker: the functions of this session block."""


class Async:
    """Type marker: the functions of this session return futures."""


M = TypeVar("M", Sync, Async)
P = ParamSpec("P")
T = TypeVar("T")

Step = Request | Offload[Any] | Gather[Any] | Pause
Recipe = Generator[Step, Any, T]


class _Documentation:
    """The ``__doc__`` of a class whose objects are documented one by one.

    Args:
        text: The class's own.
    """

    def __init__(self, text: str | None) -> None:
        self._text = text

    def __get__(self, function: BoundFunction[..., Any] | None, owner: Any) -> str | None:
        return self._text if function is None else function._function.__doc__


class BoundFunction(Generic[P, T]):
    """An API function of one session. Safe to call from any thread.

    To documentation tools (``help``, ``inspect.signature``, an editor) it is the function that it stands for.
    """

    __slots__ = ("_function", "_proxy", "_session", "_target")

    returned = "{}"
    """What a call returns, where ``{}`` is the function's value."""

    def __init__(self, function: ApiFunction[P, T], target: Any, proxy: type[BaseFunction[Any]]) -> None:
        self._function = function
        self._target = target
        self._proxy = proxy.__name__
        self._session = proxy.session or _NoSession(self)

    @property
    def name(self) -> str:
        """``Proxy.function``."""
        return f"{self._proxy}.{self._function.__name__}"

    def __repr__(self) -> str:
        return f"<API function {self.name}>"

    if not TYPE_CHECKING:

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            """It stays what it is. That it has this method makes it a routine for :mod:`inspect`."""
            return self

        # Properties, since `__getattr__` would make every attribute three times as slow.
        @property
        def __name__(self) -> str:
            return self._function.__name__

        @property
        def __wrapped__(self) -> Callable[..., Any]:
            return self._function.recipe

        @property
        def __signature__(self) -> inspect.Signature:
            return _signature(self._function.recipe, self.returned, is_bound=True)

        def __init_subclass__(cls, **options: Any) -> None:
            super().__init_subclass__(**options)
            cls.__doc__ = _Documentation(cls.__doc__)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> CallFuture[T]:
        """Start the call and return at once, on either kind of session.

        Waits only where the limit of calls in flight is reached. Arguments that are iterators are read here, by the
        caller, and what they raise is raised.

        Returns:
            The call's future.

        Raises:
            SessionClosed: The session is closed.
            Overloaded: The limit is reached and the session is configured not to wait.
            TypeError: The arguments do not fit the function.
        """
        if args or kwargs:
            args, kwargs = _as_given(self._function.recipe, args, kwargs)
        recipe = self._function.recipe(self._target, *args, **kwargs)
        if recipe.__class__ is not GeneratorType:
            raise TypeError(f"{self.name} is no recipe: it must be a generator, not {type(recipe).__name__}")
        future: CallFuture[T] = self._session._submit(self._function.__name__, self._proxy, recipe)
        return future


def _signature(recipe: Callable[..., Any], returned: str, *, is_bound: bool) -> inspect.Signature:
    """The signature of a recipe's function: it returns the recipe's value, and not a generator."""
    signature = inspect.signature(recipe)
    value = str(signature.return_annotation).removeprefix("Recipe[").removesuffix("]")
    parameters = list(signature.parameters.values())[1 if is_bound else 0 :]
    return signature.replace(parameters=parameters, return_annotation=returned.format(value))


class _NoSession:
    """In the place of a session where there is none: says so when a call is made.

    Args:
        function: What was to be called.
    """

    def __init__(self, function: BoundFunction[..., Any]) -> None:
        self._function = function

    def __getattr__(self, attribute: str) -> NoReturn:
        name = self._function.name
        raise RuntimeError(f"{name} has no session: use it inside `with Session()`, or as session.{name}")


_PLAIN = frozenset({str, int, bool, float, NoneType, list, tuple, dict})
"""Types of most arguments, which need no second look."""


def _as_given(recipe: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments as a recipe gets them: without those that are ``undefined``, as if they had not been written."""
    for value in (*args, *kwargs.values()):
        if value.__class__ not in _PLAIN:
            break
    else:
        return args, kwargs
    args, kwargs = plain_arguments(args, kwargs)
    if not any(value is undefined for value in (*args, *kwargs.values())):
        return args, kwargs
    names = list(inspect.signature(recipe).parameters)[1:]  # without the class or object that it is bound to
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    if len(args) > len(names) or len(named) < len(args) + len(kwargs):
        return args, kwargs  # do not fit; the call says so
    return (), {name: value for name, value in named.items() if value is not undefined}


def plain_arguments(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments without subclasses of texts and numbers, and with lists in place of iterators.

    So users' code runs in the caller's place, and only once.
    """
    return tuple(map(_plain_argument, args)), {name: _plain_argument(value) for name, value in kwargs.items()}


def _plain_argument(value: Any) -> Any:
    return list(value) if isinstance(value, Iterator) else plain(value)


class BlockingFunction(BoundFunction[P, T]):
    """An API function of a ``Session``: a call waits for the value."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """:meth:`submit`, and wait. Whatever ends the wait early (Ctrl-C, ``gevent.Timeout``) cancels the call."""
        value: T = self._session._wait(self.submit(*args, **kwargs))
        return value


class FutureFunction(BoundFunction[P, T]):
    """An API function of an ``AsyncSession``: a call returns its future."""

    returned = "CallFuture[{}]"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> CallFuture[T]:
        """:meth:`submit`."""
        return self.submit(*args, **kwargs)


class ApiFunction(Generic[P, T]):
    """A recipe as an attribute of its proxy class; binds like a method.

    Args:
        recipe: The generator function.
        on_class: Bind to the class, also when reached through an instance.
    """

    blocking_kind: ClassVar[type[BlockingFunction[..., Any]]] = BlockingFunction
    future_kind: ClassVar[type[FutureFunction[..., Any]]] = FutureFunction

    def __init__(self, recipe: Callable[..., Recipe[T]], on_class: bool) -> None:
        functools.update_wrapper(self, recipe)  # type: ignore[arg-type]  # works on any object
        self.recipe = recipe
        self.on_class = on_class
        self.__name__: str = recipe.__name__

    if TYPE_CHECKING:

        @overload
        def __get__(
            self, instance: BaseFunction[Sync] | None, owner: type[BaseFunction[Sync]]
        ) -> BlockingFunction[P, T]: ...

        @overload
        def __get__(
            self, instance: BaseFunction[Async] | None, owner: type[BaseFunction[Async]]
        ) -> FutureFunction[P, T]: ...

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None and not self.on_class:
            return self  # the definition, for documentation tools
        if owner.session is None:
            instance, owner = _in_current_session(instance, owner)
        kind = self.future_kind if owner.session is not None and owner.session.asynchronous else self.blocking_kind
        return kind(self, owner if self.on_class else instance, owner)

    if not TYPE_CHECKING:

        def __call__(self, *_: Any, **__: Any) -> NoReturn:
            """It was called on the class. Type checkers find that by themselves."""
            raise TypeError(f"{self.__name__} is a function of objects: session.<Proxy>(...).{self.__name__}(...)")

        @property
        def __signature__(self) -> inspect.Signature:
            return _signature(self.recipe, "{}", is_bound=False)


def _in_current_session(instance: Any, owner: Any) -> tuple[Any, Any]:
    """The same instance and class, bound to the session of the ``with`` block that the code is in, if any."""
    session = current_session()
    if session is None:
        return instance, owner
    bound = session.bind(owner)
    if instance is not None:
        attributes = instance.__dict__
        instance = object.__new__(bound)
        instance.__dict__ = attributes  # one state: what a function changes, the caller's object shows
    return instance, bound


class ApiFactory(ApiFunction[P, Any]):
    """A class function whose value is an instance of the proxy class; typed so for either kind of session."""

    if TYPE_CHECKING:

        @overload  # narrower on purpose
        def __get__(self, instance: Any, owner: type[FS]) -> BlockingFunction[P, FS]: ...

        @overload
        def __get__(self, instance: Any, owner: type[FA]) -> FutureFunction[P, FA]: ...

        def __get__(self, instance: Any, owner: Any) -> Any: ...


class NoSessionError(AttributeError, RuntimeError):
    """A proxy class that belongs to no session was asked for its server.

    An ``AttributeError`` too: ``help()`` and editors look at every attribute of a class, and expect that of one which
    is not there.
    """


class _CurrentServer:
    """The server of a class that was made for no session: that of the ``with`` block that the code is in."""

    def __get__(self, instance: Any, owner: type[BaseFunction[Any]]) -> Server:
        try:
            server: Server = session_of(owner)._server
        except RuntimeError as error:
            raise NoSessionError(*error.args) from None
        return server


class _ConstructorSignature:
    """The ``__signature__`` of a class whose ``__new__`` takes anything: that of its ``__init__``.

    CPython 3.11.2 (Debian 12) would show the one of ``__new__``, and later ones do for a class without ``__init__``.
    """

    def __get__(self, instance: Any, owner: type) -> inspect.Signature:
        if owner.__init__ is object.__init__:  # type: ignore[misc]  # compared, not called
            return inspect.Signature()
        signature = inspect.signature(owner.__init__)  # type: ignore[misc]  # that of this very class
        parameters = list(signature.parameters.values())[1:]
        return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)


class BaseFunction(Generic[M]):
    """Base of the function proxies.

    ``session.Kernel`` is a subclass made for that session. The class as it stands in its module works inside a ``with``
    block of a session; an object made there belongs to that session.

    Attributes:
        session: The session that the type was made for; None for the class as it stands in its module.
        server: That session's server: what recipes ask for its configuration, and for what the server has.
    """

    session: ClassVar[Any] = None
    server: ClassVar[Server] = cast("Server", _CurrentServer())

    if not TYPE_CHECKING:
        __signature__ = _ConstructorSignature()

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """An object for the session of the class, or of the ``with`` block that the code is in."""
        session = current_session() if cls.session is None else None
        made: Self = object.__new__(cls if session is None else session.bind(cls))
        return made

    def __reduce__(self) -> NoReturn:
        """Not pickled, since its class belongs to a session."""
        raise TypeError(
            f"{type(self).__name__} objects belong to a session and cannot be pickled or copied: "
            "pass what identifies it (its name) and make it anew"
        )


if TYPE_CHECKING:
    FS = TypeVar("FS", bound=BaseFunction[Sync])
    FA = TypeVar("FA", bound=BaseFunction[Async])


def api_function(recipe: Callable[Concatenate[Any, P], Recipe[T]]) -> ApiFunction[P, T]:
    """Make a recipe an API function of instances."""
    return ApiFunction(recipe, on_class=False)


def api_class_function(recipe: Callable[Concatenate[Any, P], Recipe[T]]) -> ApiFunction[P, T]:
    """Make a recipe an API function of the class; callable on instances too."""
    return ApiFunction(recipe, on_class=True)


def api_factory(recipe: Callable[Concatenate[Any, P], Recipe[Any]]) -> ApiFactory[P]:
    """Make a recipe an API function of the class that returns an instance of it."""
    return ApiFactory(recipe, on_class=True)
