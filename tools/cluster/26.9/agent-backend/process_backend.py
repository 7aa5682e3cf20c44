"""The agent of 26.9 with kernels that are local processes.

What is not overridden here is the wheel's `ai.backend.agent.dummy`, whose calls all pretend.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from local_kernels import LocalAgent, LocalCreationContext, LocalKernel, container_of
from scheduler_pulse import pulse

from ai.backend.agent.agent import AbstractAgent, ScanImagesResult
from ai.backend.agent.dummy.agent import DummyAgent, DummyKernelCreationContext
from ai.backend.agent.dummy.kernel import DummyCodeRunner, DummyKernel
from ai.backend.common.arch import CURRENT_ARCH
from ai.backend.common.data.image.types import InstalledImageInfo
from ai.backend.common.dto.agent.response import CodeCompletionResp
from ai.backend.common.events.event_types.kernel.types import KernelLifecycleEventReason


class ProcessKernel(LocalKernel, DummyKernel):
    async def create_code_runner(self, event_producer, *, client_features, api_version):
        return await DummyCodeRunner.new(
            self.kernel_id,
            self.session_id,
            event_producer,
            kernel_host=self.data["kernel_host"],
            repl_in_port=self.data["repl_in_port"],
            repl_out_port=self.data["repl_out_port"],
            exec_timeout=0,
            client_features=client_features,
        )

    async def get_completions(self, text, opts):
        return CodeCompletionResp(result=await self.runner.feed_and_get_completion(text, opts))


class ProcessCreationContext(LocalCreationContext, DummyKernelCreationContext):
    async def prepare_resource_spec(self):
        if self.restarting:
            return self.kept_resource_spec(), self.kernel_config.get("resource_opts", {})
        return await super().prepare_resource_spec()

    async def prepare_container(self, resource_spec, environ, service_ports, cluster_info):
        self.write_config(resource_spec, environ)
        kernel_obj = ProcessKernel(
            self.ownership_data,
            self.kernel_config["network_id"],
            self.image_ref,
            self.kspec_version,
            agent_config=self.local_config.model_dump(by_alias=True),
            service_ports=service_ports,
            resource_spec=resource_spec,
            environ=environ,
            data={},
            dummy_config=self.dummy_config,
        )
        kernel_obj.scratch = self.scratch
        kernel_obj.set_container_id(container_of(self.kernel_id))
        return kernel_obj

    async def start_container(self, kernel_obj, cmdargs, resource_opts, preopen_ports, cluster_info):
        return await self.start_process(kernel_obj, self.agent.port_pool.acquire)


class ProcessAgent(LocalAgent, DummyAgent):
    self_terminated = KernelLifecycleEventReason.SELF_TERMINATED
    # Those of the dummy agent do nothing.
    execute = AbstractAgent.execute
    get_public_service_ports = AbstractAgent.get_public_service_ports
    sync_container_lifecycles = AbstractAgent.sync_container_lifecycles

    async def __ainit__(self) -> None:
        container = self.local_config.container
        self.scratch_root = Path(container.scratch_root).resolve()
        self.kernel_host = container.advertised_host or container.bind_host
        # Kernels never survive the agent: the manager is told so by the lifecycle sync.
        for leftover in self.scratch_root.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)
        await super().__ainit__()
        self.run_beside(pulse(self.valkey_schedule_client, self.event_producer))

    @property
    def cluster_home(self) -> Path:
        return Path(self.dummy_config["cluster-home"])

    def is_ending(self, kernel_obj) -> bool:
        return kernel_obj.termination_reason is not None

    @property
    def images_here(self):
        return self.dummy_agent_cfg["image"]["already-have"] or ()

    async def scan_images(self):
        return ScanImagesResult(
            scanned_images={
                name: InstalledImageInfo(
                    canonical=name, digest="sha256:" + format(idx + 1, "x") * 64, architecture=CURRENT_ARCH
                )
                for idx, name in enumerate(self.images_here)
            },
            removed_images={},
        )

    async def check_image(self, image_ref, image_id, auto_pull) -> bool:
        return image_ref.canonical not in self.images_here

    async def init_kernel_context(
        self, ownership_data, kernel_image, kernel_config, *, restarting=False, cluster_ssh_port_mapping=None
    ):
        ctx = ProcessCreationContext(
            ownership_data,
            self.event_producer,
            kernel_image,
            kernel_config,
            await self.resolve_image_distro(kernel_config["image"]),
            self.local_config,
            self.computers,
            restarting=restarting,
            dummy_config=self.dummy_config,
        )
        ctx.agent = self
        ctx.mounts = []
        ctx.scratch = self.scratch_of(ownership_data.kernel_id)
        return ctx
