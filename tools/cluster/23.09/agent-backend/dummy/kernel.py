"""A kernel of 23.09 that is a local process."""

from __future__ import annotations

from local_kernels import LocalKernel

from ai.backend.agent.kernel import AbstractCodeRunner, AbstractKernel


async def prepare_krunner_env(local_config):
    return {}


class ProcessKernel(LocalKernel, AbstractKernel):
    async def create_code_runner(self, event_producer, *, client_features, api_version):
        return await ProcessCodeRunner.new(
            self.kernel_id,
            self.session_id,
            event_producer,
            host=self.data["kernel_host"],
            ports=(self.data["repl_in_port"], self.data["repl_out_port"]),
            exec_timeout=0,
            client_features=client_features,
        )

    async def get_completions(self, text, opts):
        return {
            "status": "finished",
            "completions": await self.runner.feed_and_get_completion(text, opts),
        }


class ProcessCodeRunner(AbstractCodeRunner):
    def __init__(self, *args, host, ports, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.host = host
        self.ports = ports

    async def get_repl_in_addr(self) -> str:
        return f"tcp://{self.host}:{self.ports[0]}"

    async def get_repl_out_addr(self) -> str:
        return f"tcp://{self.host}:{self.ports[1]}"
