"""Smoke test of a running cluster with the stock Backend.AI client of the same release.

Run it with the cluster's own Python (`$CLUSTER_HOME/RELEASE/venv/bin/python`) and the environment that `up` prints.
"""

import asyncio
import json
import pathlib
import secrets
import tempfile

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.session import AsyncSession

IMAGE = "cr.backend.ai/stable/python:3.9-ubuntu20.04"
LIMIT = 120.0


async def main() -> None:
    async with AsyncSession() as api:
        assert (await api.Manager.status())["status"] == "running"
        agents = (await api.Agent.paginated_list()).items
        assert [a["status"] for a in agents] == ["ALIVE"], agents
        assert len(await api.KeyPair.list(is_active=True)) >= 5

        name = "smoke-" + secrets.token_hex(4)
        folder = name + "-data"
        await api.VFolder.create(folder)
        with tempfile.TemporaryDirectory() as tmp:
            base = pathlib.Path(tmp)
            (base / "up.txt").write_text("from the client\n")
            await api.VFolder(folder).upload([base / "up.txt"], basedir=base)

            session = await api.ComputeSession.get_or_create(
                IMAGE, name=name, mounts=[folder], resources={"cpu": 1, "mem": "256m"}
            )
            assert session.status == "RUNNING", session.status
            code = (
                f"print(open('/home/work/{folder}/up.txt').read(), end='')\n"
                f"_ = open('/home/work/{folder}/down.txt', 'w').write(str(6 * 7))\n"
            )
            result = await session.execute(secrets.token_hex(4), code)
            assert result["console"] == [["stdout", "from the client\n"]], result

            # Not by execute(mode="input"): the client and the manager of 26.9 disagree on it (`runId`).
            async with session.stream_execute("print(input('? '))", mode="query") as stream:
                async for msg in stream:
                    reply = json.loads(msg.data)
                    if reply["status"] == "waiting-input":
                        await stream.send_str("typed")
                    elif reply["status"] == "finished":
                        assert reply["console"][-1] == ["stdout", "typed\n"], reply
                        break

            assert (await session.get_logs())["result"]["logs"]
            await session.destroy()

            (base / "up.txt").unlink()
            await api.VFolder(folder).download(["down.txt"], basedir=base)
            assert (base / "down.txt").read_text() == "42"
        while True:  # refused by 26.9 while a session that has it mounted still ends
            try:
                await api.VFolder(folder).delete()
                break
            except BackendAPIError:
                await asyncio.sleep(1)
    print("ok")


asyncio.run(asyncio.wait_for(main(), LIMIT))
