"""A Backend.AI manager for trying, demonstrating and testing: no cluster, no network, no installation of a server.

It is a process of its own that listens on loopback, has new random keys each time, and really runs the code that it is
sent::

    from ai.backend.client import Session
    from ai.backend.client.sandbox import Sandbox

    with Sandbox() as sandbox, Session(config=sandbox.config()) as session:
        kernel = session.Kernel.get_or_create("python")
        print(kernel.execute(code="1 + 1"))

With pytest: ``pytest_plugins = ["ai.backend.client.sandbox.fixtures"]`` and the fixtures of that module. From a shell:
``python -m ai.backend.client.sandbox``. It needs the distribution's extra ``sandbox``.

.. warning:: The code runs as you, on your machine, without isolation.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ai.backend.client.sandbox.launcher import Sandbox, SandboxError

__all__ = ["Sandbox", "SandboxError"]


def __getattr__(name: str) -> Any:
    # Resolved when they are asked for: the server's process is quicker without what starts it.
    if name in __all__:
        from ai.backend.client.sandbox import launcher

        return getattr(launcher, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
