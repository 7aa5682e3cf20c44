"""What the agent backends of all releases share: kernels that are local processes.

A "kernel" is the stock Backend.AI kernel runner (`ai.backend.kernel` from PyPI) started in its own mount and PID
namespaces, so that code execution, batch runs, interactive input, logs, files, vfolder mounts and in-session services
are real, while no container engine and no images are needed.

The classes here go before the release's own in a list of bases.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import os
import shutil
import stat
import sys
import tarfile
from pathlib import Path
from typing import Any

from ai.backend.agent.agent import ACTIVE_STATUS_SET
from ai.backend.agent.resources import KernelResourceSpec, Mount
from ai.backend.agent.types import Container, ContainerStatus, LifecycleEvent
from ai.backend.common.types import CommitStatus, ContainerId, MountTypes

log = logging.getLogger("ai.backend.agent.local_kernels")

HERE = Path(__file__).resolve().parent
ENTER = HERE / "enter.sh"
RUNNER = HERE / "runner.py"
HOME = Path("/home/work")
"""What a session's user sees as home."""
MAX_DOWNLOAD = 1048576
"""The docker backend refuses to send larger files back, too."""


def container_of(kernel_id) -> ContainerId:
    """There are no containers, but everything is asked for by their IDs."""
    return ContainerId(kernel_id.hex * 2)


class LocalKernel:
    """A kernel, which is a process."""

    proc: asyncio.subprocess.Process | None = None
    scratch: Path
    committing = False

    def __getstate__(self):
        return {**super().__getstate__(), "proc": None}

    @property
    def work(self) -> Path:
        return self.scratch / "work"

    @property
    def is_alive(self) -> bool:
        return self.proc is not None and self.proc.returncode is None

    async def kill(self) -> None:
        if self.is_alive:
            # `unshare` ignores SIGTERM; its child dies with it and takes the namespaces along.
            self.proc.kill()
            await self.proc.wait()

    def resolve(self, path) -> Path:
        """Map a path of the session ("/home/work" or relative to it) to the host."""
        given = Path(path)
        if given.is_absolute():
            try:
                given = given.relative_to(HOME)
            except ValueError:
                raise PermissionError(f"You cannot access files outside {HOME}") from None
        resolved = (self.work / given).resolve()
        if not resolved.is_relative_to(self.work.resolve()):
            raise PermissionError(f"You cannot access files outside {HOME}")
        return resolved

    async def close(self) -> None:
        pass

    async def check_status(self):
        return await self.runner.feed_and_get_status()

    async def get_logs(self):
        log_file = self.scratch / "console.log"
        return {"logs": log_file.read_text(errors="replace") if log_file.exists() else ""}

    async def interrupt_kernel(self):
        await self.runner.feed_interrupt()
        return {"status": "finished"}

    async def start_service(self, service, opts):
        for sport in self.service_ports:
            if sport["name"] == service:
                break
        else:
            return {"status": "failed", "error": "invalid service name"}
        # The session shares the host's network: services listen on the host ports.
        return await self.runner.feed_start_service(
            {
                "name": service,
                "port": sport["host_ports"][0],
                "ports": sport["host_ports"],
                "protocol": sport["protocol"],
                "options": opts,
            }
        )

    async def start_model_service(self, model_service):
        return await self.runner.feed_start_model_service(model_service)

    async def shutdown_service(self, service):
        await self.runner.feed_shutdown_service(service)

    async def get_service_apps(self):
        return await self.runner.feed_service_apps()

    async def check_duplicate_commit(self, kernel_id, subdir) -> CommitStatus:
        return CommitStatus.ONGOING if self.committing else CommitStatus.READY

    async def commit(self, kernel_id, subdir, filename=None, *, canonical=None, extra_labels=None):
        """There is no image to save: archive the home instead."""
        target = Path(self.agent_config["agent"]["image-commit-path"]) / subdir / (filename or f"{kernel_id}.tar.gz")
        target.parent.mkdir(parents=True, exist_ok=True)

        def write():
            with gzip.open(target, "wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
                tar.add(self.work, arcname="home/work")

        self.committing = True
        try:
            await asyncio.to_thread(write)
        finally:
            self.committing = False

    async def accept_file(self, path, filedata):
        dest = self.resolve(path)
        dest.parent.mkdir(parents=True, exist_ok=True)
        dest.write_bytes(filedata)

    async def download_file(self, path):
        src = self._existing(path)
        buf = io.BytesIO()
        with tarfile.open(fileobj=buf, mode="w") as tar:
            tar.add(src, arcname=src.name)
        if buf.tell() > MAX_DOWNLOAD:
            raise ValueError("too large file")
        return buf.getvalue()

    async def download_single(self, path):
        src = self._existing(path)
        if src.stat().st_size > MAX_DOWNLOAD:
            raise ValueError("too large file")
        return src.read_bytes()

    def _existing(self, path) -> Path:
        src = self.resolve(path)
        if not src.exists():
            raise FileNotFoundError(f"Could not found the file: {path}")
        return src

    async def list_files(self, path):
        base = self.resolve(path)
        files, errors = [], ""
        try:
            for entry in os.scandir(base):
                st = entry.stat(follow_symlinks=False)
                files.append(
                    {
                        "mode": stat.filemode(st.st_mode),
                        "size": st.st_size,
                        "ctime": st.st_ctime,
                        "mtime": st.st_mtime,
                        "atime": st.st_atime,
                        "filename": entry.name,
                    }
                )
        except OSError as e:
            errors = f"{type(e).__name__}: {e.strerror}: {path!r}\n"
        return {"files": json.dumps(files) + "\n", "errors": errors, "abspath": str(path)}

    async def notify_event(self, evdata):
        await self.runner.feed_event(evdata)


class LocalCreationContext:
    """The steps that make a kernel; the release calls them, and says what it knows."""

    agent: LocalAgent
    scratch: Path
    mounts: list[Mount]

    async def prepare_scratch(self) -> None:
        for sub in ("work", "config"):
            (self.scratch / sub).mkdir(parents=True, exist_ok=True)

    def kept_resource_spec(self) -> KernelResourceSpec:
        """What a kernel that restarts had before."""
        return KernelResourceSpec.read_from_string((self.scratch / "config" / "resource.txt").read_text())

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

    def resolve_krunner_filepath(self, filename) -> Path:
        return Path(filename)

    def get_runner_mount(self, type, src, target, perm="ro", opts=None):
        return Mount(MountTypes.BIND, Path(src), Path(target))

    def write_config(self, resource_spec, environ) -> None:
        """The files that the runner and enter.sh look for, and what the user wants in the home."""
        config = self.scratch / "config"
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

    async def start_process(self, kernel_obj: LocalKernel, acquire_port) -> dict[str, Any]:
        """Start the runner; what `start_container` answers.

        Args:
            kernel_obj: The kernel.
            acquire_port: Takes a port from the agent's pool.
        """
        host_ports = [acquire_port(), acquire_port()]
        repl_in, repl_out = host_ports
        for sport in kernel_obj.service_ports:
            if sport["protocol"] == "preopen":
                # user code listens on the port it asked for
                sport["host_ports"] = tuple(sport["container_ports"])
            elif sport["host_ports"][0] is None:
                sport["host_ports"] = tuple(acquire_port() for _ in sport["container_ports"])
                host_ports.extend(sport["host_ports"])
        intrinsic = {"replin": str(repl_in), "replout": str(repl_out)}
        for sport in kernel_obj.service_ports:
            if sport["name"] in ("sshd", "ttyd"):
                intrinsic[sport["name"]] = sport["host_ports"][0]
        (self.scratch / "config" / "intrinsic-ports.json").write_text(json.dumps(intrinsic))

        home, python = self.agent.cluster_home, sys.executable
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
                *("setpriv", "--pdeathsig", "KILL", "--"),
                *("unshare", *namespaces, "--"),
                *(str(ENTER), python, "-s", str(RUNNER)),
                *(self.image_labels.get("ai.backend.runtime-type", "python"), python),
                env=env,
                cwd=self.scratch / "work",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        kernel_obj.data["host_ports"] = host_ports
        self.agent.watch(kernel_obj)
        return {
            "container_id": container_of(self.kernel_id),
            "kernel_host": self.agent.kernel_host,
            "repl_in_port": repl_in,
            "repl_out_port": repl_out,
            "stdin_port": 0,  # legacy
            "stdout_port": 0,  # legacy
            "host_ports": host_ports,
            "domain_socket_proxies": [],
            "block_service_ports": self.internal_data.get("block_service_ports", False),
        }


class LocalAgent:
    """The agent of local kernels.

    Attributes:
        cluster_home: The folder of the cluster.
        scratch_root: Where kernels have their files.
        kernel_host: The address where they listen.
        self_terminated: The reason of an end that nobody asked for, as the release has it.
    """

    cluster_home: Path
    scratch_root: Path
    kernel_host: str
    self_terminated: Any

    def is_ending(self, kernel_obj: LocalKernel) -> bool:
        """Whether somebody destroys the kernel; the DESTROY handler queues the clean-up itself then."""
        raise NotImplementedError

    async def __ainit__(self) -> None:
        self._watchers: set[asyncio.Task] = set()
        await super().__ainit__()

    async def shutdown(self, stop_signal) -> None:
        for kernel_obj in self.kernel_registry.values():
            await kernel_obj.kill()
        await super().shutdown(stop_signal)

    def scratch_of(self, kernel_id) -> Path:
        return self.scratch_root / str(kernel_id)

    def run_beside(self, coroutine) -> None:
        """Run something beside, and keep a reference to it."""
        task = asyncio.create_task(coroutine)
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    def watch(self, kernel_obj: LocalKernel) -> None:
        """Report the end of a kernel process, whoever ended it."""

        async def wait(proc):
            code = await proc.wait()
            if kernel_obj.proc is not proc:
                return
            log.info("kernel %s exited with %s", kernel_obj.kernel_id, code)
            if kernel_obj.kernel_id not in self.kernel_registry or self.is_ending(kernel_obj):
                return
            await self.inject_container_lifecycle_event(
                kernel_obj.kernel_id,
                kernel_obj.session_id,
                LifecycleEvent.CLEAN,
                self.self_terminated,
                container_id=container_of(kernel_obj.kernel_id),
            )

        self.run_beside(wait(kernel_obj.proc))

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
                        id=container_of(kernel_id),
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

    async def collect_process_stat(self, interval=None) -> None:
        pass  # the stock one asks the Docker daemon

    async def destroy_kernel(self, kernel_id, container_id) -> None:
        if (kernel_obj := self.kernel_registry.get(kernel_id)) is not None:
            await kernel_obj.kill()

    async def clean_kernel(self, kernel_id, container_id, restarting) -> None:
        if restarting:
            return
        if (kernel_obj := self.kernel_registry.get(kernel_id)) is not None:
            log_file = kernel_obj.scratch / "console.log"

            async def chunks():
                if log_file.exists():
                    yield log_file.read_bytes()

            try:
                await self.collect_logs(kernel_id, container_of(kernel_id), chunks())
            except Exception:
                log.exception("could not store the logs of %s", kernel_id)
        await asyncio.to_thread(shutil.rmtree, self.scratch_of(kernel_id), True)

    async def restart_kernel__load_config(self, kernel_id, name: str) -> bytes:
        return (self.scratch_of(kernel_id) / "config" / name).read_bytes()

    async def restart_kernel__store_config(self, kernel_id, name: str, data: bytes) -> None:
        path = self.scratch_of(kernel_id) / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
