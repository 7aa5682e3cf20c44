"""The backend `dummy`, which the wheel of agent 23.09 does not have."""


def get_agent_cls():
    from ai.backend.agent.dummy.agent import ProcessAgent

    return ProcessAgent
