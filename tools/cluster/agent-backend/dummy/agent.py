from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from ai.backend.common.events import KernelLifecycleEventReason, KernelTerminatedEvent
from ai.backend.common.logging import BraceStyleAdapter
from ai.backend.common.types import (
    DeviceName,
    KernelId,
    MountTypes,
    ResourceSlot,
    SessionId,
    current_resource_slots,
)

from ..agent import ACTIVE_STATUS_SET, AbstractAgent, AbstractKernelCreationContext
from ..exception import UnsupportedResource
from ..resources import KernelResourceSpec, Mount, known_slot_types
from ..types import Container, ContainerStatus, LifecycleEvent
from .kernel import ProcessKernel
from .plugins import CPUPlugin, MemoryPlugin

log = BraceStyleAdapter(logging.getLogger(__spec__.name))

ENTER = Path(__file__).with_name("enter.sh")
RUNNER = Path(__file__).with_name("runner.py")


class ProcessCreationContext(AbstractKernelCreationContext[ProcessKernel]):
    def __init__(self, *args, agent: ProcessAgent, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.agent = agent
        self.scratch = agent.scratch_of(self.kernel_id)
        self.cluster_info = {}
        self.mounts: list[Mount] = []

    async def get_extra_envs(self):
        return {}

    async def prepare_resource_spec(self):
        resource_opts = self.kernel_config.get("resource_opts", {})
        if self.restarting:
            text = (self.scratch / "config" / "resource.txt").read_text()
            return KernelResourceSpec.read_from_string(text), resource_opts
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

    async def prepare_scratch(self) -> None:
        for sub in ("work", "config"):
            (self.scratch / sub).mkdir(parents=True, exist_ok=True)

    async def get_intrinsic_mounts(self):
        return []

    async def apply_network(self, cluster_info) -> None:
        self.cluster_info = cluster_info

    async def prepare_ssh(self, cluster_info) -> None:
        keypair = cluster_info.get("ssh_keypair")
        if not keypair:
            return
        ssh_dir = self.scratch / "config" / "ssh"
        ssh_dir.mkdir(parents=True, exist_ok=True)
        (ssh_dir / "id_cluster").write_text(keypair["private_key"])
        (ssh_dir / "id_cluster").chmod(0o600)
        (ssh_dir / "id_cluster.pub").write_text(keypair["public_key"])

    async def process_mounts(self, mounts) -> None:
        self.mounts = [*mounts]

    async def mount_krunner(self, resource_spec, environ) -> None:
        pass  # prepared by `up`, mounted by enter.sh

    async def apply_accelerator_allocation(self, computer, device_alloc) -> None:
        pass

    async def generate_accelerator_mounts(self, computer, device_alloc):
        return []

    def resolve_krunner_filepath(self, filename) -> Path:
        return Path(filename)

    def get_runner_mount(self, type, src, target, perm="ro", opts=None):
        return Mount(MountTypes.BIND, Path(src), Path(target))

    async def spawn(self, resource_spec, environ, service_ports) -> ProcessKernel:
        config = self.scratch / "config"
        cid = self.kernel_id.hex * 2
        resource_spec.container_id = cid
        (config / "session-id").write_text(str(self.session_id))
        (config / "resource.txt").write_text(resource_spec.write_to_string())
        # A value with a line break cannot be written to environ.txt.
        lines = [f"{k}={v}" for k, v in environ.items() if "\n" not in str(v)]
        (config / "environ.txt").write_text("\n".join(lines) + "\n")
        (config / "vfolders.txt").write_text(
            "".join(
                f"{'ro' if str(m.permission.value) == 'ro' else 'rw'}\t{m.source}\t{m.target}\n" for m in self.mounts
            )
        )
        if bootstrap := self.kernel_config.get("bootstrap_script"):
            (self.scratch / "work" / "bootstrap.sh").write_text(bootstrap)
        for dotfile in self.internal_data.get("dotfiles", []):
            path = Path(dotfile["path"])
            if path.is_absolute():
                continue
            target = self.scratch / "work" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(dotfile["data"])
            target.chmod(int(dotfile["perm"], 8))
        return ProcessKernel(
            self.kernel_id,
            self.session_id,
            self.agent_id,
            self.image_ref,
            self.kspec_version,
            agent_config=self.local_config,
            service_ports=service_ports,
            resource_spec=resource_spec,
            environ=environ,
            data={"container_id": cid},
            scratch=self.scratch,
        )

    async def start_container(self, kernel_obj, cmdargs, resource_opts, preopen_ports):
        pool = self.agent.port_pool
        host_ports = [pool.pop(), pool.pop()]
        repl_in, repl_out = host_ports
        for sport in kernel_obj.service_ports:
            if sport["protocol"] == "preopen":
                # user code listens on the port it asked for
                sport["host_ports"] = tuple(sport["container_ports"])
            elif sport["host_ports"][0] is None:
                sport["host_ports"] = tuple(pool.pop() for _ in sport["container_ports"])
                host_ports.extend(sport["host_ports"])
        intrinsic = {"replin": str(repl_in), "replout": str(repl_out)}
        for sport in kernel_obj.service_ports:
            if sport["name"] in ("sshd", "ttyd"):
                intrinsic[sport["name"]] = sport["host_ports"][0]
        (self.scratch / "config" / "intrinsic-ports.json").write_text(json.dumps(intrinsic))

        home = Path(self.local_config["dummy"]["cluster-home"])
        python = sys.executable
        runtime = self.image_labels.get("ai.backend.runtime-type", "python")
        env = {
            "PATH": f"{Path(python).parent}:{os.environ.get('PATH', '')}",
            "CLUSTER_HOME": str(home),
            "KRUNNER": str(home / "krunner"),
            "SCRATCH": str(self.scratch),
            "BACKENDAI_KERNEL_ID": str(self.kernel_id),
            "LC_ALL": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
        }
        namespaces = ["--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        if os.getuid() != 0:
            namespaces[:0] = ["--user", "--map-root-user"]
        with (self.scratch / "console.log").open("ab") as console:
            kernel_obj.proc = await asyncio.create_subprocess_exec(
                # end with the agent, however that ends
                "setpriv",
                "--pdeathsig",
                "KILL",
                "--",
                "unshare",
                *namespaces,
                "--",
                str(ENTER),
                python,
                "-s",
                str(RUNNER),
                runtime,
                python,
                env=env,
                cwd=self.scratch / "work",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        kernel_obj.data["host_ports"] = host_ports
        self.agent.watch(kernel_obj)
        host = self.local_config["container"]["bind-host"]
        return {
            "container_id": kernel_obj["container_id"],
            "kernel_host": self.local_config["container"]["advertised-host"] or host,
            "repl_in_port": repl_in,
            "repl_out_port": repl_out,
            "stdin_port": 0,  # legacy
            "stdout_port": 0,  # legacy
            "host_ports": host_ports,
            "domain_socket_proxies": [],
            "block_service_ports": self.internal_data.get("block_service_ports", False),
        }


class ProcessAgent(AbstractAgent[ProcessKernel, ProcessCreationContext]):
    async def __ainit__(self) -> None:
        self._watchers: set[asyncio.Task] = set()
        # Kernels never survive the agent: start from an empty registry.
        var_base = Path(self.local_config["agent"]["var-base-path"])
        for leftover in var_base.glob("last_registry.*.dat"):
            leftover.unlink()
        gone = []
        for leftover in Path(self.local_config["container"]["scratch-root"]).iterdir():
            try:
                session_id = (leftover / "config" / "session-id").read_text()
                gone.append((KernelId(UUID(leftover.name)), SessionId(UUID(session_id))))
            except (OSError, ValueError):
                pass
            shutil.rmtree(leftover, ignore_errors=True)
        await super().__ainit__()
        if gone:
            self._watchers.add(asyncio.create_task(self.report_gone(gone)))

    async def report_gone(self, kernels) -> None:
        """Tell the manager about the kernels that an earlier agent process has left."""
        await asyncio.sleep(3.0)  # a manager started together with us may not listen yet
        for kernel_id, session_id in kernels:
            log.info("kernel {} has ended with an earlier agent", kernel_id)
            await self.produce_event(
                KernelTerminatedEvent(kernel_id, session_id, reason=KernelLifecycleEventReason.AGENT_TERMINATION)
            )

    async def shutdown(self, stop_signal) -> None:
        for kernel_obj in self.kernel_registry.values():
            if kernel_obj.is_alive:
                kernel_obj.proc.kill()
                await kernel_obj.proc.wait()
        await super().shutdown(stop_signal)

    def scratch_of(self, kernel_id) -> Path:
        return Path(self.local_config["container"]["scratch-root"]).resolve() / str(kernel_id)

    def watch(self, kernel_obj: ProcessKernel) -> None:
        """Report the end of a kernel process, whoever ended it."""

        async def _wait(proc):
            code = await proc.wait()
            if kernel_obj.proc is not proc:
                return
            log.info("kernel {} exited with {}", kernel_obj.kernel_id, code)
            if kernel_obj.kernel_id in self.terminating_kernels:
                return  # the DESTROY handler queues the clean-up itself
            if kernel_obj.kernel_id not in self.kernel_registry:
                return
            await self.inject_container_lifecycle_event(
                kernel_obj.kernel_id,
                kernel_obj.session_id,
                LifecycleEvent.CLEAN,
                KernelLifecycleEventReason.SELF_TERMINATED,
                container_id=kernel_obj["container_id"],
            )

        task = asyncio.create_task(_wait(kernel_obj.proc))
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def enumerate_containers(self, status_filter=ACTIVE_STATUS_SET):
        result = []
        for kernel_id, kernel_obj in self.kernel_registry.items():
            status = ContainerStatus.RUNNING if kernel_obj.is_alive else ContainerStatus.EXITED
            if status not in status_filter:
                continue
            result.append(
                (
                    kernel_id,
                    Container(
                        id=kernel_obj["container_id"],
                        status=status,
                        image=kernel_obj.image.canonical,
                        labels={
                            "ai.backend.kernel-id": str(kernel_id),
                            "ai.backend.session-id": str(kernel_obj.session_id),
                        },
                        ports=[],
                        backend_obj=kernel_obj.resource_spec,
                    ),
                )
            )
        return result

    async def sync_container_lifecycles(self, interval: float) -> None:
        # watch() reports every exit
        alive = sum(1 for k in self.kernel_registry.values() if k.is_alive)
        await self.set_container_count(alive)

    async def collect_process_stat(self, interval: float) -> None:
        pass  # the stock one asks the Docker daemon

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

    async def destroy_kernel(self, kernel_id, container_id) -> None:
        kernel_obj = self.kernel_registry.get(kernel_id)
        if kernel_obj is None or not kernel_obj.is_alive:
            return
        # `unshare` ignores SIGTERM; its child dies with it and takes the namespaces along.
        kernel_obj.proc.kill()
        await kernel_obj.proc.wait()

    async def clean_kernel(self, kernel_id, container_id, restarting) -> None:
        kernel_obj = self.kernel_registry.get(kernel_id)
        if kernel_obj is not None and not restarting:
            log_file = kernel_obj.scratch / "console.log"

            async def _chunks():
                if log_file.exists():
                    yield log_file.read_bytes()

            try:
                await self.collect_logs(kernel_id, kernel_obj["container_id"], _chunks())
            except Exception:
                log.exception("could not store the logs of {}", kernel_id)
        if not restarting:
            await asyncio.to_thread(shutil.rmtree, self.scratch_of(kernel_id), True)

    async def create_local_network(self, network_name: str) -> None:
        pass

    async def destroy_local_network(self, network_name: str) -> None:
        pass

    async def restart_kernel__load_config(self, kernel_id, name: str) -> bytes:
        return (self.scratch_of(kernel_id) / "config" / name).read_bytes()

    async def restart_kernel__store_config(self, kernel_id, name: str, data: bytes) -> None:
        path = self.scratch_of(kernel_id) / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
