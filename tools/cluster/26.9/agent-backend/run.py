"""Starts the Backend.AI agent with a ``dummy`` backend whose kernels really run code.

The wheel's own dummy backend pretends: every call answers after a delay, every execution ends at once with
"not-implemented". ``process_backend`` fills its classes with local processes; the agent asks
``DummyAgentDiscovery`` for the agent class, which is the one place to change.
"""

from ai.backend.agent import dummy


def get_agent_cls(self):
    from process_backend import ProcessAgent

    return ProcessAgent


dummy.DummyAgentDiscovery.get_agent_cls = get_agent_cls

from ai.backend.agent.server import main  # noqa: E402  # what is above must come first

if __name__ == "__main__":
    main()
