from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import stat
import tarfile
from pathlib import Path

from ai.backend.common.types import CommitStatus

from ..kernel import AbstractCodeRunner, AbstractKernel

# The docker backend refuses to send larger files back, too.
MAX_DOWNLOAD = 1048576


async def prepare_krunner_env(local_config):
    return {}


class ProcessKernel(AbstractKernel):
    proc: asyncio.subprocess.Process | None

    def __init__(self, *args, scratch: Path, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.scratch = scratch
        self.proc = None
        self.committing = False

    def __getstate__(self):
        props = dict(super().__getstate__())
        props["proc"] = None
        return props

    @property
    def work(self) -> Path:
        return self.scratch / "work"

    @property
    def is_alive(self) -> bool:
        return self.proc is not None and self.proc.returncode is None

    def resolve(self, path) -> Path:
        """Map a path of the session ("/home/work" or relative to it) to the host."""
        given = Path(path)
        if given.is_absolute():
            try:
                given = given.relative_to("/home/work")
            except ValueError:
                raise PermissionError("You cannot access files outside /home/work") from None
        resolved = (self.work / given).resolve()
        if not resolved.is_relative_to(self.work.resolve()):
            raise PermissionError("You cannot access files outside /home/work")
        return resolved

    async def close(self) -> None:
        pass

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

    async def check_status(self):
        return await self.runner.feed_and_get_status()

    async def get_completions(self, text, opts):
        return {
            "status": "finished",
            "completions": await self.runner.feed_and_get_completion(text, opts),
        }

    async def get_logs(self):
        log_file = self.scratch / "console.log"
        text = log_file.read_text(errors="replace") if log_file.exists() else ""
        return {"logs": text}

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

    async def commit(self, kernel_id, subdir, filename):
        """There is no image to save: archive /home/work instead."""
        self.committing = True
        try:
            target = Path(self.agent_config["agent"]["image-commit-path"]) / subdir / filename
            target.parent.mkdir(parents=True, exist_ok=True)

            def _write():
                with gzip.open(target, "wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
                    tar.add(self.work, arcname="home/work")

            await asyncio.to_thread(_write)
        finally:
            self.committing = False

    async def accept_file(self, filename, filedata):
        dest = self.resolve(filename)
        dest.parent.mkdir(parents=True, exist_ok=True)
        dest.write_bytes(filedata)

    async def download_file(self, filepath):
        src = self.resolve(filepath)
        if not src.exists():
            raise FileNotFoundError(f"Could not found the file: {filepath}")
        buf = io.BytesIO()
        with tarfile.open(fileobj=buf, mode="w") as tar:
            tar.add(src, arcname=src.name)
        if buf.tell() > MAX_DOWNLOAD:
            raise ValueError("too large file")
        return buf.getvalue()

    async def download_single(self, filepath):
        src = self.resolve(filepath)
        if not src.exists():
            raise FileNotFoundError(f"Could not found the file: {filepath}")
        if src.stat().st_size > MAX_DOWNLOAD:
            raise ValueError("too large file")
        return src.read_bytes()

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


class ProcessCodeRunner(AbstractCodeRunner):
    def __init__(self, *args, host, ports, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.host = host
        self.ports = ports

    async def get_repl_in_addr(self) -> str:
        return f"tcp://{self.host}:{self.ports[0]}"

    async def get_repl_out_addr(self) -> str:
        return f"tcp://{self.host}:{self.ports[1]}"
