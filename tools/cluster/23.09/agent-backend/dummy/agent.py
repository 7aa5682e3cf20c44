"""The agent of 23.09 with kernels that are local processes."""

from __future__ import annotations

import asyncio
import logging
import shutil
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from local_kernels import LocalAgent, LocalCreationContext, container_of

from ai.backend.agent.agent import AbstractAgent, AbstractKernelCreationContext
from ai.backend.agent.dummy.kernel import ProcessKernel
from ai.backend.agent.dummy.plugins import CPUPlugin, MemoryPlugin
from ai.backend.agent.exception import UnsupportedResource
from ai.backend.agent.resources import KernelResourceSpec, known_slot_types
from ai.backend.common.events import KernelLifecycleEventReason, KernelTerminatedEvent
from ai.backend.common.logging import BraceStyleAdapter
from ai.backend.common.types import DeviceName, KernelId, ResourceSlot, SessionId, current_resource_slots

log = BraceStyleAdapter(logging.getLogger(__spec__.name))


class ProcessCreationContext(LocalCreationContext, AbstractKernelCreationContext[ProcessKernel]):
    def __init__(self, *args, agent: ProcessAgent, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.agent = agent
        self.scratch = agent.scratch_of(self.kernel_id)
        self.mounts = []

    async def get_extra_envs(self):
        return {}

    async def prepare_resource_spec(self):
        resource_opts = self.kernel_config.get("resource_opts", {})
        if self.restarting:
            return self.kept_resource_spec(), resource_opts
        slots = ResourceSlot.from_json(self.kernel_config["resource_slots"])
        for name, value in slots.items():
            if name not in known_slot_types and value != Decimal(0):
                raise UnsupportedResource(name)
        current_resource_slots.set(known_slot_types)
        slots = slots.normalize_slots(ignore_unknown=True)
        spec = KernelResourceSpec(
            container_id="",
            allocations={},
            slots={**slots},
            mounts=[],
            scratch_disk_size=0,
        )
        return spec, resource_opts

    async def get_intrinsic_mounts(self):
        return []

    async def apply_network(self, cluster_info) -> None:
        pass

    async def apply_accelerator_allocation(self, computer, device_alloc) -> None:
        pass

    async def generate_accelerator_mounts(self, computer, device_alloc):
        return []

    async def spawn(self, resource_spec, environ, service_ports) -> ProcessKernel:
        resource_spec.container_id = container_of(self.kernel_id)
        self.write_config(resource_spec, environ)
        kernel_obj = ProcessKernel(
            self.kernel_id,
            self.session_id,
            self.agent_id,
            self.image_ref,
            self.kspec_version,
            agent_config=self.local_config,
            service_ports=service_ports,
            resource_spec=resource_spec,
            environ=environ,
            data={"container_id": resource_spec.container_id},
        )
        kernel_obj.scratch = self.scratch
        return kernel_obj

    async def start_container(self, kernel_obj, cmdargs, resource_opts, preopen_ports):
        return await self.start_process(kernel_obj, self.agent.port_pool.pop)


class ProcessAgent(LocalAgent, AbstractAgent[ProcessKernel, ProcessCreationContext]):
    self_terminated = KernelLifecycleEventReason.SELF_TERMINATED

    async def __ainit__(self) -> None:
        container = self.local_config["container"]
        self.cluster_home = Path(self.local_config["dummy"]["cluster-home"])
        self.scratch_root = Path(container["scratch-root"]).resolve()
        self.kernel_host = container["advertised-host"] or container["bind-host"]
        # Kernels never survive the agent: start from an empty registry.
        var_base = Path(self.local_config["agent"]["var-base-path"])
        for leftover in var_base.glob("last_registry.*.dat"):
            leftover.unlink()
        gone = []
        for leftover in self.scratch_root.iterdir():
            try:
                session_id = (leftover / "config" / "session-id").read_text()
                gone.append((KernelId(UUID(leftover.name)), SessionId(UUID(session_id))))
            except (OSError, ValueError):
                pass
            shutil.rmtree(leftover, ignore_errors=True)
        await super().__ainit__()
        if gone:
            self.run_beside(self.report_gone(gone))

    async def report_gone(self, kernels) -> None:
        """Tell the manager about the kernels that an earlier agent process has left."""
        await asyncio.sleep(3.0)  # a manager started together with us may not listen yet
        for kernel_id, session_id in kernels:
            log.info("kernel {} has ended with an earlier agent", kernel_id)
            await self.produce_event(
                KernelTerminatedEvent(kernel_id, session_id, reason=KernelLifecycleEventReason.AGENT_TERMINATION)
            )

    def is_ending(self, kernel_obj) -> bool:
        return kernel_obj.kernel_id in self.terminating_kernels

    async def sync_container_lifecycles(self, interval: float) -> None:
        # watch() reports every exit
        alive = sum(1 for k in self.kernel_registry.values() if k.is_alive)
        await self.set_container_count(alive)

    async def load_resources(self):
        return {
            DeviceName("cpu"): CPUPlugin({}, self.local_config),
            DeviceName("mem"): MemoryPlugin({}, self.local_config),
        }

    async def scan_available_resources(self):
        slots = {}
        for computer in (await self._plugins()).values():
            known_slot_types.update(computer.slot_types)
            slots.update(await computer.available_slots())
        return slots

    async def _plugins(self):
        if self.computers:
            return {name: ctx.instance for name, ctx in self.computers.items()}
        return await self.load_resources()

    async def scan_images(self):
        return {
            name: "sha256:" + format(idx + 1, "x") * 64 for idx, name in enumerate(self.local_config["dummy"]["images"])
        }

    async def pull_image(self, image_ref, registry_conf) -> None:
        await asyncio.sleep(0.1)

    async def check_image(self, image_ref, image_id, auto_pull) -> bool:
        return image_ref.canonical not in self.images

    async def init_kernel_context(
        self, kernel_id, session_id, kernel_config, *, restarting=False, cluster_ssh_port_mapping=None
    ):
        return ProcessCreationContext(
            kernel_id,
            session_id,
            self.id,
            self.event_producer,
            kernel_config,
            self.local_config,
            self.computers,
            restarting=restarting,
            agent=self,
        )

    async def create_local_network(self, network_name: str) -> None:
        pass

    async def destroy_local_network(self, network_name: str) -> None:
        pass
