"""What every function returns: on a `Session` the value, on an `AsyncSession` its future (or the stream for it)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

from ai.backend.client import functions
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.auth import AuthToken
from ai.backend.client.functions.accounts import replies as account_replies
from ai.backend.client.functions.base import Async, Sync
from ai.backend.client.functions.cluster import replies as cluster_replies
from ai.backend.client.functions.compute import replies as compute_replies
from ai.backend.client.functions.compute.run import RunResult
from ai.backend.client.functions.compute.sockets import StreamExecute, StreamPty
from ai.backend.client.functions.folders import replies as folder_replies
from ai.backend.client.functions.streams.byte_stream import ByteStream
from ai.backend.client.functions.streams.events import SSEResponse
from ai.backend.client.functions.streams.tunnel import Tunnel
from ai.backend.client.functions.toolkit import replies
from ai.backend.client.functions.toolkit.pages import PaginatedResult
from ai.backend.client.request import Response
from ai.backend.client.session import AsyncSession, Session

ONE = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
TWO = "1c3e5a7b-0000-4abc-8def-0123456789ab"


def admin(s: Session, a: AsyncSession) -> None:
    """Admin."""
    assert_type(s.Admin.query("query { user { uuid } }"), dict[str, Any])
    assert_type(a.Admin.query("query { user { uuid } }"), CallFuture[dict[str, Any]])


def agent(s: Session, a: AsyncSession) -> None:
    """Agent."""
    assert_type(s.Agent.list_with_limit(10, 0), cluster_replies.AgentPage)
    assert_type(a.Agent.list_with_limit(10, 0), CallFuture[cluster_replies.AgentPage])
    assert_type(s.Agent.paginated_list(), PaginatedResult)
    assert_type(a.Agent.paginated_list(), CallFuture[PaginatedResult])
    assert_type(s.Agent.list(), list[dict[str, Any]])
    assert_type(a.Agent.list(), CallFuture[list[dict[str, Any]]])
    assert_type(s.Agent.detail("i-one"), dict[str, Any] | None)
    assert_type(a.Agent.detail("i-one"), CallFuture[dict[str, Any] | None])
    assert_type(s.Agent.update("i-one", schedulable=False, scaling_group="default"), replies.MutationResult)
    assert_type(a.Agent.update("i-one", schedulable=False, scaling_group="default"), CallFuture[replies.MutationResult])
    assert_type(s.Agent.paginated_summaries(), PaginatedResult)
    assert_type(a.Agent.paginated_summaries(), CallFuture[PaginatedResult])
    assert_type(s.Agent.summary("i-one"), dict[str, Any] | None)
    assert_type(a.Agent.summary("i-one"), CallFuture[dict[str, Any] | None])


def agent_watcher(s: Session, a: AsyncSession) -> None:
    """AgentWatcher."""
    assert_type(s.AgentWatcher.get_status("i-one"), Any)
    assert_type(a.AgentWatcher.get_status("i-one"), CallFuture[Any])
    assert_type(s.AgentWatcher.agent_start("i-one"), Any)
    assert_type(a.AgentWatcher.agent_start("i-one"), CallFuture[Any])
    assert_type(s.AgentWatcher.agent_stop(agent_id="i-one"), Any)
    assert_type(a.AgentWatcher.agent_stop(agent_id="i-one"), CallFuture[Any])
    assert_type(s.AgentWatcher.agent_restart("i-one"), Any)
    assert_type(a.AgentWatcher.agent_restart("i-one"), CallFuture[Any])


def auth(s: Session, a: AsyncSession) -> None:
    """Auth."""
    assert_type(s.Auth.login("me@example.com", "secret"), account_replies.Login)
    assert_type(a.Auth.login("me@example.com", "secret"), CallFuture[account_replies.Login])
    assert_type(s.Auth.token_login("tok"), account_replies.Login)
    assert_type(a.Auth.token_login("tok"), CallFuture[account_replies.Login])
    assert_type(s.Auth.login_check(), account_replies.LoginState)
    assert_type(a.Auth.login_check(), CallFuture[account_replies.LoginState])
    assert_type(s.Auth.logout(), None)
    assert_type(a.Auth.logout(), CallFuture[None])
    assert_type(s.Auth.echo(), account_replies.Echo)
    assert_type(a.Auth.echo(), CallFuture[account_replies.Echo])
    assert_type(s.Auth.get_role(), account_replies.Roles)
    assert_type(a.Auth.get_role(), CallFuture[account_replies.Roles])
    assert_type(s.Auth.signup("me@example.com", "secret"), account_replies.NewKeyPair)
    assert_type(a.Auth.signup("me@example.com", "secret"), CallFuture[account_replies.NewKeyPair])
    assert_type(s.Auth.signout("me@example.com", "secret"), dict[str, Any])
    assert_type(a.Auth.signout("me@example.com", "secret"), CallFuture[dict[str, Any]])
    assert_type(s.Auth.update_full_name("me@example.com", "Me"), dict[str, Any])
    assert_type(a.Auth.update_full_name("me@example.com", "Me"), CallFuture[dict[str, Any]])
    assert_type(s.Auth.update_password("old-secret", "new-secret", "new-secret"), dict[str, Any])
    assert_type(a.Auth.update_password("old-secret", "new-secret", "new-secret"), CallFuture[dict[str, Any]])
    assert_type(
        s.Auth.update_password_no_auth("default", "me@example.com", "old-secret", "new-secret"),
        account_replies.PasswordChange,
    )
    assert_type(
        a.Auth.update_password_no_auth("default", "me@example.com", "old-secret", "new-secret"),
        CallFuture[account_replies.PasswordChange],
    )
    assert_type(
        s.Auth.update_password_no_auth_in_session("me@example.com", "old-secret", "new-secret"),
        account_replies.PasswordChangeInSession,
    )
    assert_type(
        a.Auth.update_password_no_auth_in_session("me@example.com", "old-secret", "new-secret"),
        CallFuture[account_replies.PasswordChangeInSession],
    )
    assert_type(s.Auth.get_ssh_keypair(), account_replies.SSHPublicKey)
    assert_type(a.Auth.get_ssh_keypair(), CallFuture[account_replies.SSHPublicKey])
    assert_type(s.Auth.generate_ssh_keypair(), account_replies.SSHKeyPair)
    assert_type(a.Auth.generate_ssh_keypair(), CallFuture[account_replies.SSHKeyPair])
    assert_type(s.Auth.upload_ssh_keypair("ssh-rsa AAAA", "PRIVATE"), account_replies.SSHKeyPair)
    assert_type(a.Auth.upload_ssh_keypair("ssh-rsa AAAA", "PRIVATE"), CallFuture[account_replies.SSHKeyPair])


def background_task(s: Session, a: AsyncSession) -> None:
    """BackgroundTask."""
    assert_type(s.BackgroundTask(ONE).listen_events(), SSEResponse[Sync])
    assert_type(a.BackgroundTask(ONE).listen_events(), SSEResponse[Async])


def cluster_template(s: Session, a: AsyncSession) -> None:
    """ClusterTemplate."""
    assert_type(s.ClusterTemplate.create("kind: x"), functions.ClusterTemplate[Sync])
    assert_type(a.ClusterTemplate.create("kind: x"), CallFuture[functions.ClusterTemplate[Async]])
    assert_type(s.ClusterTemplate.list_templates(), list[compute_replies.TemplateItem])
    assert_type(a.ClusterTemplate.list_templates(), CallFuture[list[compute_replies.TemplateItem]])
    assert_type(s.ClusterTemplate(ONE).get(), str)
    assert_type(a.ClusterTemplate(ONE).get(), CallFuture[str])
    assert_type(s.ClusterTemplate(ONE).put("kind: x"), replies.Success)
    assert_type(a.ClusterTemplate(ONE).put("kind: x"), CallFuture[replies.Success])
    assert_type(s.ClusterTemplate(ONE).delete(), replies.Success)
    assert_type(a.ClusterTemplate(ONE).delete(), CallFuture[replies.Success])


def domain(s: Session, a: AsyncSession) -> None:
    """Domain."""
    assert_type(s.Domain.list(), list[dict[str, Any]])
    assert_type(a.Domain.list(), CallFuture[list[dict[str, Any]]])
    assert_type(s.Domain.detail("d"), dict[str, Any] | None)
    assert_type(a.Domain.detail("d"), CallFuture[dict[str, Any] | None])
    assert_type(s.Domain.create("d"), account_replies.DomainResult)
    assert_type(a.Domain.create("d"), CallFuture[account_replies.DomainResult])
    assert_type(
        s.Domain.update("d", "e", "text", True, '{"cpu": "8"}', ["local:volume1"], ["cr.example"], "int-1", ["name"]),
        account_replies.DomainResult,
    )
    assert_type(
        a.Domain.update("d", "e", "text", True, '{"cpu": "8"}', ["local:volume1"], ["cr.example"], "int-1", ["name"]),
        CallFuture[account_replies.DomainResult],
    )
    assert_type(s.Domain.delete("d"), replies.MutationResult)
    assert_type(a.Domain.delete("d"), CallFuture[replies.MutationResult])
    assert_type(s.Domain.purge("d"), replies.MutationResult)
    assert_type(a.Domain.purge("d"), CallFuture[replies.MutationResult])


def dotfile(s: Session, a: AsyncSession) -> None:
    """Dotfile."""
    assert_type(s.Dotfile.create("data", ".x", "644"), functions.Dotfile[Sync])
    assert_type(a.Dotfile.create("data", ".x", "644"), CallFuture[functions.Dotfile[Async]])
    assert_type(s.Dotfile.list_dotfiles(), list[account_replies.DotfileItem])
    assert_type(a.Dotfile.list_dotfiles(), CallFuture[list[account_replies.DotfileItem]])
    assert_type(s.Dotfile(".x").get(), account_replies.DotfileContent)
    assert_type(a.Dotfile(".x").get(), CallFuture[account_replies.DotfileContent])
    assert_type(s.Dotfile(".x").update("data", "755"), dict[str, Any])
    assert_type(a.Dotfile(".x").update("data", "755"), CallFuture[dict[str, Any]])
    assert_type(s.Dotfile(".x").delete(), replies.Success)
    assert_type(a.Dotfile(".x").delete(), CallFuture[replies.Success])
    assert_type(s.Dotfile.get_bootstrap_script(), str)
    assert_type(a.Dotfile.get_bootstrap_script(), CallFuture[str])
    assert_type(s.Dotfile.update_bootstrap_script("echo"), dict[str, Any])
    assert_type(a.Dotfile.update_bootstrap_script("echo"), CallFuture[dict[str, Any]])


def etcd_config(s: Session, a: AsyncSession) -> None:
    """EtcdConfig."""
    assert_type(s.EtcdConfig.get("config/x"), Any)
    assert_type(a.EtcdConfig.get("config/x"), CallFuture[Any])
    assert_type(s.EtcdConfig.set("config/x", "v"), cluster_replies.EtcdResult)
    assert_type(a.EtcdConfig.set("config/x", "v"), CallFuture[cluster_replies.EtcdResult])
    assert_type(s.EtcdConfig.delete("config/x"), cluster_replies.EtcdResult)
    assert_type(a.EtcdConfig.delete("config/x"), CallFuture[cluster_replies.EtcdResult])


def group(s: Session, a: AsyncSession) -> None:
    """Group."""
    assert_type(s.Group.list("d"), list[dict[str, Any]])
    assert_type(a.Group.list("d"), CallFuture[list[dict[str, Any]]])
    assert_type(s.Group.detail(ONE), dict[str, Any] | None)
    assert_type(a.Group.detail(ONE), CallFuture[dict[str, Any] | None])
    assert_type(s.Group.from_name("g"), list[dict[str, Any]])
    assert_type(a.Group.from_name("g"), CallFuture[list[dict[str, Any]]])
    assert_type(s.Group.create("d", "g"), account_replies.GroupResult)
    assert_type(a.Group.create("d", "g"), CallFuture[account_replies.GroupResult])
    assert_type(s.Group.update(ONE, description=""), account_replies.GroupResult)
    assert_type(a.Group.update(ONE, description=""), CallFuture[account_replies.GroupResult])
    assert_type(s.Group.delete(ONE), replies.MutationResult)
    assert_type(a.Group.delete(ONE), CallFuture[replies.MutationResult])
    assert_type(s.Group.purge(ONE), replies.MutationResult)
    assert_type(a.Group.purge(ONE), CallFuture[replies.MutationResult])
    assert_type(s.Group.add_users(ONE, [TWO]), account_replies.GroupResult)
    assert_type(a.Group.add_users(ONE, [TWO]), CallFuture[account_replies.GroupResult])
    assert_type(s.Group.remove_users(ONE, [TWO], ["id"]), account_replies.GroupResult)
    assert_type(a.Group.remove_users(ONE, [TWO], ["id"]), CallFuture[account_replies.GroupResult])


def image(s: Session, a: AsyncSession) -> None:
    """Image."""
    assert_type(s.Image.list(), list[dict[str, Any]])
    assert_type(a.Image.list(), CallFuture[list[dict[str, Any]]])
    assert_type(s.Image.detail("python:3.9"), dict[str, Any] | None)
    assert_type(a.Image.detail("python:3.9"), CallFuture[dict[str, Any] | None])
    assert_type(s.Image.rescan_images(), cluster_replies.TaskResult)
    assert_type(a.Image.rescan_images(), CallFuture[cluster_replies.TaskResult])
    assert_type(s.Image.alias_image("py", "python:3.9"), replies.MutationResult)
    assert_type(a.Image.alias_image("py", "python:3.9"), CallFuture[replies.MutationResult])
    assert_type(s.Image.dealias_image("py"), replies.MutationResult)
    assert_type(a.Image.dealias_image("py"), CallFuture[replies.MutationResult])
    assert_type(s.Image.forget_image("python:3.9"), replies.MutationResult)
    assert_type(a.Image.forget_image("python:3.9"), CallFuture[replies.MutationResult])
    assert_type(s.Image.modify_image("python:3.9", name="n"), replies.MutationResult)
    assert_type(a.Image.modify_image("python:3.9", name="n"), CallFuture[replies.MutationResult])
    assert_type(s.Image.clear_images("cr.example"), replies.MutationResult)
    assert_type(a.Image.clear_images("cr.example"), CallFuture[replies.MutationResult])
    assert_type(s.Image.preload_image(["python:3.9"], ["i-one"]), cluster_replies.TaskResult)
    assert_type(a.Image.preload_image(["python:3.9"], ["i-one"]), CallFuture[cluster_replies.TaskResult])
    assert_type(s.Image.unload_image(("python:3.9",), target_agents=("i-one",)), cluster_replies.TaskResult)
    assert_type(a.Image.unload_image(("python:3.9",), target_agents=("i-one",)), CallFuture[cluster_replies.TaskResult])
    assert_type(s.Image.get_image_import_form(), dict[str, Any])
    assert_type(a.Image.get_image_import_form(), CallFuture[dict[str, Any]])
    assert_type(s.Image.build(src="python:3.9", target="mine"), cluster_replies.ImportedImage)
    assert_type(a.Image.build(src="python:3.9", target="mine"), CallFuture[cluster_replies.ImportedImage])


def kernel(s: Session, a: AsyncSession) -> None:
    """Kernel."""
    assert_type(s.Kernel.hello(), replies.VersionInfo)
    assert_type(a.Kernel.hello(), CallFuture[replies.VersionInfo])
    assert_type(s.Kernel.get_or_create("python"), functions.Kernel[Sync])
    assert_type(a.Kernel.get_or_create("python"), CallFuture[functions.Kernel[Async]])
    assert_type(s.Kernel.create_from_template(ONE), functions.Kernel[Sync])
    assert_type(a.Kernel.create_from_template(ONE), CallFuture[functions.Kernel[Async]])
    assert_type(s.Kernel("mine").get_session_identity_params(), dict[str, str])
    assert_type(a.Kernel("mine").get_session_identity_params(), dict[str, str])
    assert_type(s.Kernel("mine").destroy(), Any)
    assert_type(a.Kernel("mine").destroy(), CallFuture[Any])
    assert_type(s.Kernel("mine").restart(), None)
    assert_type(a.Kernel("mine").restart(), CallFuture[None])
    assert_type(s.Kernel("mine").rename("other"), None)
    assert_type(a.Kernel("mine").rename("other"), CallFuture[None])
    assert_type(s.Kernel("mine").execute(code="1 + 1"), compute_replies.RunStep)
    assert_type(a.Kernel("mine").execute(code="1 + 1"), CallFuture[compute_replies.RunStep])
    assert_type(s.Kernel("mine").interrupt(), None)
    assert_type(a.Kernel("mine").interrupt(), CallFuture[None])
    assert_type(s.Kernel("mine").complete("impor"), compute_replies.Completions)
    assert_type(a.Kernel("mine").complete("impor"), CallFuture[compute_replies.Completions])
    assert_type(s.Kernel("mine").upload(["one.txt", Path("folder/two.txt")]), Response)
    assert_type(a.Kernel("mine").upload(["one.txt", Path("folder/two.txt")]), CallFuture[Response])
    assert_type(s.Kernel("mine").download(["one.txt"]), compute_replies.FileNames)
    assert_type(a.Kernel("mine").download(["one.txt"]), CallFuture[compute_replies.FileNames])
    assert_type(s.Kernel("mine").download_single("one.txt"), bytes)
    assert_type(a.Kernel("mine").download_single("one.txt"), CallFuture[bytes])
    assert_type(s.Kernel("mine").list_files(), compute_replies.SessionFiles)
    assert_type(a.Kernel("mine").list_files(), CallFuture[compute_replies.SessionFiles])
    assert_type(s.Kernel("mine").start_service("ttyd"), compute_replies.ServiceAccess)
    assert_type(a.Kernel("mine").start_service("ttyd"), CallFuture[compute_replies.ServiceAccess])
    assert_type(s.Kernel("mine").shutdown_service("ttyd"), None)
    assert_type(a.Kernel("mine").shutdown_service("ttyd"), CallFuture[None])
    assert_type(s.Kernel("mine").get_direct_access_info(), compute_replies.DirectAccess)
    assert_type(a.Kernel("mine").get_direct_access_info(), CallFuture[compute_replies.DirectAccess])
    assert_type(s.Kernel("mine").commit(), compute_replies.Commit)
    assert_type(a.Kernel("mine").commit(), CallFuture[compute_replies.Commit])
    assert_type(s.Kernel("mine").get_commit_status(), compute_replies.CommitStatus)
    assert_type(a.Kernel("mine").get_commit_status(), CallFuture[compute_replies.CommitStatus])
    assert_type(s.Kernel("mine").get_info(), dict[str, Any])
    assert_type(a.Kernel("mine").get_info(), CallFuture[dict[str, Any]])
    assert_type(s.Kernel("mine").get_logs(), dict[str, Any])
    assert_type(a.Kernel("mine").get_logs(), CallFuture[dict[str, Any]])
    assert_type(s.Kernel("mine").get_dependency_graph(), dict[str, Any])
    assert_type(a.Kernel("mine").get_dependency_graph(), CallFuture[dict[str, Any]])
    assert_type(s.Kernel("mine").get_abusing_report(), dict[str, Any])
    assert_type(a.Kernel("mine").get_abusing_report(), CallFuture[dict[str, Any]])
    assert_type(s.Kernel("mine").get_status_history(), dict[str, str])
    assert_type(a.Kernel("mine").get_status_history(), CallFuture[dict[str, str]])
    assert_type(s.Kernel.match("mine"), dict[str, Any])
    assert_type(a.Kernel.match("mine"), CallFuture[dict[str, Any]])
    assert_type(s.Kernel.paginated_list(), PaginatedResult)
    assert_type(a.Kernel.paginated_list(), CallFuture[PaginatedResult])
    assert_type(s.Kernel.paginated_containers(ONE), PaginatedResult)
    assert_type(a.Kernel.paginated_containers(ONE), CallFuture[PaginatedResult])
    assert_type(s.Kernel("*").listen_events(), SSEResponse[Sync])
    assert_type(a.Kernel("*").listen_events(), SSEResponse[Async])
    assert_type(s.Kernel("mine").stream_events(), SSEResponse[Sync])
    assert_type(a.Kernel("mine").stream_events(), SSEResponse[Async])
    assert_type(s.Kernel("mine").stream_execute(), StreamExecute[Sync])
    assert_type(a.Kernel("mine").stream_execute(), StreamExecute[Async])
    assert_type(s.Kernel("mine").stream_pty(), StreamPty[Sync])
    assert_type(a.Kernel("mine").stream_pty(), StreamPty[Async])
    assert_type(s.Kernel("mine").tunnel("sshd"), Tunnel[Sync])
    assert_type(a.Kernel("mine").tunnel("sshd"), Tunnel[Async])
    assert_type(s.Kernel("mine").stream_app_info(), list[dict[str, Any]])
    assert_type(a.Kernel("mine").stream_app_info(), CallFuture[list[dict[str, Any]]])
    assert_type(s.Kernel.get_task_logs(ONE), ByteStream[Sync])
    assert_type(a.Kernel.get_task_logs(ONE), ByteStream[Async])
    assert_type(s.Kernel("mine").run(), RunResult)
    assert_type(a.Kernel("mine").run(), CallFuture[RunResult])
    assert_type(s.Kernel.from_session_id(ONE), functions.Kernel[Sync])
    assert_type(a.Kernel.from_session_id(ONE), functions.Kernel[Async])


def key_pair(s: Session, a: AsyncSession) -> None:
    """KeyPair."""
    assert_type(s.KeyPair.create(5, resource_policy="default", rate_limit=1), account_replies.KeyPairResult)
    assert_type(a.KeyPair.create(5, resource_policy="default", rate_limit=1), CallFuture[account_replies.KeyPairResult])
    assert_type(s.KeyPair.update("AK1", True, False, "default", 1000), replies.MutationResult)
    assert_type(a.KeyPair.update("AK1", True, False, "default", 1000), CallFuture[replies.MutationResult])
    assert_type(s.KeyPair.activate("AK1"), replies.MutationResult)
    assert_type(a.KeyPair.activate("AK1"), CallFuture[replies.MutationResult])
    assert_type(s.KeyPair.deactivate("AK1"), replies.MutationResult)
    assert_type(a.KeyPair.deactivate("AK1"), CallFuture[replies.MutationResult])
    assert_type(s.KeyPair.delete("AK1"), replies.MutationResult)
    assert_type(a.KeyPair.delete("AK1"), CallFuture[replies.MutationResult])
    assert_type(s.KeyPair.list(), list[dict[str, Any]])
    assert_type(a.KeyPair.list(), CallFuture[list[dict[str, Any]]])
    assert_type(s.KeyPair.paginated_list(), PaginatedResult)
    assert_type(a.KeyPair.paginated_list(), CallFuture[PaginatedResult])
    assert_type(s.KeyPair("AK1").info(), dict[str, Any] | None)
    assert_type(a.KeyPair("AK1").info(), CallFuture[dict[str, Any] | None])


def keypair_resource_policy(s: Session, a: AsyncSession) -> None:
    """KeypairResourcePolicy."""
    assert_type(
        s.KeypairResourcePolicy.create("p", "LIMITED", {}, 10, 1, idle_timeout=600),
        account_replies.ResourcePolicyResult,
    )
    assert_type(
        a.KeypairResourcePolicy.create("p", "LIMITED", {}, 10, 1, idle_timeout=600),
        CallFuture[account_replies.ResourcePolicyResult],
    )
    assert_type(s.KeypairResourcePolicy.update("p", idle_timeout=0), replies.MutationResult)
    assert_type(a.KeypairResourcePolicy.update("p", idle_timeout=0), CallFuture[replies.MutationResult])
    assert_type(s.KeypairResourcePolicy.delete("p"), replies.MutationResult)
    assert_type(a.KeypairResourcePolicy.delete("p"), CallFuture[replies.MutationResult])
    assert_type(s.KeypairResourcePolicy.list(), list[dict[str, Any]])
    assert_type(a.KeypairResourcePolicy.list(), CallFuture[list[dict[str, Any]]])
    assert_type(s.KeypairResourcePolicy("AK1").info("p"), dict[str, Any] | None)
    assert_type(a.KeypairResourcePolicy("AK1").info("p"), CallFuture[dict[str, Any] | None])


def manager(s: Session, a: AsyncSession) -> None:
    """Manager."""
    assert_type(s.Manager.status(), cluster_replies.ManagerStatus)
    assert_type(a.Manager.status(), CallFuture[cluster_replies.ManagerStatus])
    assert_type(s.Manager.freeze(), None)
    assert_type(a.Manager.freeze(), CallFuture[None])
    assert_type(s.Manager.unfreeze(), None)
    assert_type(a.Manager.unfreeze(), CallFuture[None])
    assert_type(s.Manager.get_announcement(), cluster_replies.Announcement)
    assert_type(a.Manager.get_announcement(), CallFuture[cluster_replies.Announcement])
    assert_type(s.Manager.update_announcement(False), None)
    assert_type(a.Manager.update_announcement(False), CallFuture[None])
    assert_type(s.Manager.scheduler_op(op="include-agents", args=["i-one"]), None)
    assert_type(a.Manager.scheduler_op(op="include-agents", args=["i-one"]), CallFuture[None])
    assert_type(s.Manager.scheduler_trigger("schedule"), None)
    assert_type(a.Manager.scheduler_trigger("schedule"), CallFuture[None])
    assert_type(s.Manager.scheduler_status(), dict[str, dict[str, str]])
    assert_type(a.Manager.scheduler_status(), CallFuture[dict[str, dict[str, str]]])


def model(s: Session, a: AsyncSession) -> None:
    """Model."""
    assert_type(s.Model.list(), list[folder_replies.FolderItem])
    assert_type(a.Model.list(), CallFuture[list[folder_replies.FolderItem]])
    assert_type(s.Model.paginated_list(), PaginatedResult)
    assert_type(a.Model.paginated_list(), CallFuture[PaginatedResult])
    assert_type(s.Model("m").info(), folder_replies.ModelInfo)
    assert_type(a.Model("m").info(), CallFuture[folder_replies.ModelInfo])
    assert_type(s.Model.create("m"), folder_replies.NewFolder)
    assert_type(a.Model.create("m"), CallFuture[folder_replies.NewFolder])
    assert_type(s.Model("m").delete(), dict[str, Any])
    assert_type(a.Model("m").delete(), CallFuture[dict[str, Any]])


def permission(s: Session, a: AsyncSession) -> None:
    """Permission."""
    assert_type(s.Permission.list(), dict[str, Any])
    assert_type(a.Permission.list(), CallFuture[dict[str, Any]])


def project_resource_policy(s: Session, a: AsyncSession) -> None:
    """ProjectResourcePolicy."""
    assert_type(s.ProjectResourcePolicy.list(), list[dict[str, Any]])
    assert_type(a.ProjectResourcePolicy.list(), CallFuture[list[dict[str, Any]]])
    assert_type(s.ProjectResourcePolicy.detail("p"), dict[str, Any] | None)
    assert_type(a.ProjectResourcePolicy.detail("p"), CallFuture[dict[str, Any] | None])
    assert_type(s.ProjectResourcePolicy.create("p"), account_replies.ResourcePolicyResult)
    assert_type(a.ProjectResourcePolicy.create("p"), CallFuture[account_replies.ResourcePolicyResult])
    assert_type(
        s.ProjectResourcePolicy.update("p", max_quota_scope_size=0, max_vfolder_count=0), replies.MutationResult
    )
    assert_type(
        a.ProjectResourcePolicy.update("p", max_quota_scope_size=0, max_vfolder_count=0),
        CallFuture[replies.MutationResult],
    )
    assert_type(s.ProjectResourcePolicy.delete("p"), replies.MutationResult)
    assert_type(a.ProjectResourcePolicy.delete("p"), CallFuture[replies.MutationResult])


def quota_scope(s: Session, a: AsyncSession) -> None:
    """QuotaScope."""
    assert_type(
        s.QuotaScope.detail("local:volume1", "user:0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"), dict[str, Any] | None
    )
    assert_type(
        a.QuotaScope.detail("local:volume1", "user:0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"),
        CallFuture[dict[str, Any] | None],
    )
    assert_type(s.QuotaScope.set("local:volume1", "user:0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11", 1024), dict[str, Any])
    assert_type(
        a.QuotaScope.set("local:volume1", "user:0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11", 1024), CallFuture[dict[str, Any]]
    )
    assert_type(s.QuotaScope.unset("local:volume1", "user:0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"), dict[str, Any])
    assert_type(
        a.QuotaScope.unset("local:volume1", "user:0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"), CallFuture[dict[str, Any]]
    )


def resource(s: Session, a: AsyncSession) -> None:
    """Resource."""
    assert_type(s.Resource.list(), cluster_replies.Presets)
    assert_type(a.Resource.list(), CallFuture[cluster_replies.Presets])
    assert_type(s.Resource.check_presets(), cluster_replies.PresetCheck)
    assert_type(a.Resource.check_presets(), CallFuture[cluster_replies.PresetCheck])
    assert_type(s.Resource.get_preset("p"), dict[str, Any] | None)
    assert_type(a.Resource.get_preset("p"), CallFuture[dict[str, Any] | None])
    assert_type(s.Resource.create_preset("p", {"cpu": "1", "mem": "1g"}), replies.MutationResult)
    assert_type(a.Resource.create_preset("p", {"cpu": "1", "mem": "1g"}), CallFuture[replies.MutationResult])
    assert_type(s.Resource.modify_preset("p", resource_slots={"cpu": "2"}, shared_memory="1g"), replies.MutationResult)
    assert_type(
        a.Resource.modify_preset("p", resource_slots={"cpu": "2"}, shared_memory="1g"),
        CallFuture[replies.MutationResult],
    )
    assert_type(s.Resource.delete_preset("p"), replies.MutationResult)
    assert_type(a.Resource.delete_preset("p"), CallFuture[replies.MutationResult])
    assert_type(s.Resource.get_resource_slots(), dict[str, str])
    assert_type(a.Resource.get_resource_slots(), CallFuture[dict[str, str]])
    assert_type(s.Resource.get_slot_details(), dict[str, cluster_replies.SlotDetails])
    assert_type(a.Resource.get_slot_details(), CallFuture[dict[str, cluster_replies.SlotDetails]])
    assert_type(s.Resource.get_vfolder_types(), list[str])
    assert_type(a.Resource.get_vfolder_types(), CallFuture[list[str]])
    assert_type(s.Resource.get_docker_registries(), dict[str, str])
    assert_type(a.Resource.get_docker_registries(), CallFuture[dict[str, str]])
    assert_type(s.Resource.usage_per_month("202309", None), list[cluster_replies.UsageByGroup])
    assert_type(a.Resource.usage_per_month("202309", None), CallFuture[list[cluster_replies.UsageByGroup]])
    assert_type(
        s.Resource.usage_per_period(group_id=None, start_date="20230901", end_date="20230930"),
        list[cluster_replies.UsageByGroup],
    )
    assert_type(
        a.Resource.usage_per_period(group_id=None, start_date="20230901", end_date="20230930"),
        CallFuture[list[cluster_replies.UsageByGroup]],
    )
    assert_type(s.Resource.recalculate_usage(), dict[str, Any])
    assert_type(a.Resource.recalculate_usage(), CallFuture[dict[str, Any]])
    assert_type(s.Resource.user_monthly_stats(), list[cluster_replies.StatsPoint])
    assert_type(a.Resource.user_monthly_stats(), CallFuture[list[cluster_replies.StatsPoint]])
    assert_type(s.Resource.admin_monthly_stats(), list[cluster_replies.StatsPoint])
    assert_type(a.Resource.admin_monthly_stats(), CallFuture[list[cluster_replies.StatsPoint]])


def scaling_group(s: Session, a: AsyncSession) -> None:
    """ScalingGroup."""
    assert_type(s.ScalingGroup.list_available("g"), cluster_replies.AvailableScalingGroups)
    assert_type(a.ScalingGroup.list_available("g"), CallFuture[cluster_replies.AvailableScalingGroups])
    assert_type(s.ScalingGroup.get_wsproxy_version("s"), cluster_replies.WSProxyVersion)
    assert_type(a.ScalingGroup.get_wsproxy_version("s"), CallFuture[cluster_replies.WSProxyVersion])
    assert_type(s.ScalingGroup.list(), list[dict[str, Any]])
    assert_type(a.ScalingGroup.list(), CallFuture[list[dict[str, Any]]])
    assert_type(s.ScalingGroup.detail("s"), dict[str, Any] | None)
    assert_type(a.ScalingGroup.detail("s"), CallFuture[dict[str, Any] | None])
    assert_type(s.ScalingGroup.create("s", driver="static", scheduler="fifo"), cluster_replies.ScalingGroupResult)
    assert_type(
        a.ScalingGroup.create("s", driver="static", scheduler="fifo"), CallFuture[cluster_replies.ScalingGroupResult]
    )
    assert_type(s.ScalingGroup.update("s", scheduler="fifo"), replies.MutationResult)
    assert_type(a.ScalingGroup.update("s", scheduler="fifo"), CallFuture[replies.MutationResult])
    assert_type(s.ScalingGroup.delete("s"), replies.MutationResult)
    assert_type(a.ScalingGroup.delete("s"), CallFuture[replies.MutationResult])
    assert_type(s.ScalingGroup.list_for_domain("d"), list[dict[str, Any]])
    assert_type(a.ScalingGroup.list_for_domain("d"), CallFuture[list[dict[str, Any]]])
    assert_type(s.ScalingGroup.list_for_group(ONE), list[dict[str, Any]])
    assert_type(a.ScalingGroup.list_for_group(ONE), CallFuture[list[dict[str, Any]]])
    assert_type(s.ScalingGroup.list_for_keypair("AK1"), list[dict[str, Any]])
    assert_type(a.ScalingGroup.list_for_keypair("AK1"), CallFuture[list[dict[str, Any]]])
    assert_type(s.ScalingGroup.associate_domain("s", "d"), replies.MutationResult)
    assert_type(a.ScalingGroup.associate_domain("s", "d"), CallFuture[replies.MutationResult])
    assert_type(s.ScalingGroup.dissociate_domain("s", "d"), replies.MutationResult)
    assert_type(a.ScalingGroup.dissociate_domain("s", "d"), CallFuture[replies.MutationResult])
    assert_type(s.ScalingGroup.dissociate_all_domain("d"), replies.MutationResult)
    assert_type(a.ScalingGroup.dissociate_all_domain("d"), CallFuture[replies.MutationResult])
    assert_type(s.ScalingGroup.associate_group("s", ONE), replies.MutationResult)
    assert_type(a.ScalingGroup.associate_group("s", ONE), CallFuture[replies.MutationResult])
    assert_type(s.ScalingGroup.dissociate_group(scaling_group="s", group_id=ONE), replies.MutationResult)
    assert_type(a.ScalingGroup.dissociate_group(scaling_group="s", group_id=ONE), CallFuture[replies.MutationResult])
    assert_type(s.ScalingGroup.dissociate_all_group(ONE), replies.MutationResult)
    assert_type(a.ScalingGroup.dissociate_all_group(ONE), CallFuture[replies.MutationResult])
    assert_type(s.ScalingGroup.associate_keypair("s", "AK1"), replies.MutationResult)
    assert_type(a.ScalingGroup.associate_keypair("s", "AK1"), CallFuture[replies.MutationResult])
    assert_type(s.ScalingGroup.dissociate_keypair("s", "AK1"), replies.MutationResult)
    assert_type(a.ScalingGroup.dissociate_keypair("s", "AK1"), CallFuture[replies.MutationResult])


def server_log(s: Session, a: AsyncSession) -> None:
    """ServerLog."""
    assert_type(s.ServerLog.list(), cluster_replies.LogPage)
    assert_type(a.ServerLog.list(), CallFuture[cluster_replies.LogPage])
    assert_type(s.ServerLog.paginated_list(), PaginatedResult)
    assert_type(a.ServerLog.paginated_list(), CallFuture[PaginatedResult])
    assert_type(s.ServerLog.append("error", "me", "it broke", "python", {"version": "3.11"}), replies.Success)
    assert_type(
        a.ServerLog.append("error", "me", "it broke", "python", {"version": "3.11"}), CallFuture[replies.Success]
    )
    assert_type(s.ServerLog.clear(ONE), replies.Success)
    assert_type(a.ServerLog.clear(ONE), CallFuture[replies.Success])


def service(s: Session, a: AsyncSession) -> None:
    """Service."""
    assert_type(s.Service.list(), list[compute_replies.ServiceItem])
    assert_type(a.Service.list(), CallFuture[list[compute_replies.ServiceItem]])
    assert_type(s.Service.paginated_list(), PaginatedResult)
    assert_type(a.Service.paginated_list(), CallFuture[PaginatedResult])
    assert_type(s.Service.detail(ONE), dict[str, Any] | None)
    assert_type(a.Service.detail(ONE), CallFuture[dict[str, Any] | None])
    assert_type(s.Service.create("python", "model", 1), compute_replies.NewService)
    assert_type(a.Service.create("python", "model", 1), CallFuture[compute_replies.NewService])
    assert_type(s.Service(ONE).info(), compute_replies.ServiceInfo)
    assert_type(a.Service(ONE).info(), CallFuture[compute_replies.ServiceInfo])
    assert_type(s.Service(ONE).delete(), replies.Success)
    assert_type(a.Service(ONE).delete(), CallFuture[replies.Success])
    assert_type(s.Service(ONE).sync(), replies.Success)
    assert_type(a.Service(ONE).sync(), CallFuture[replies.Success])
    assert_type(s.Service(ONE).scale(3), compute_replies.ServiceScale)
    assert_type(a.Service(ONE).scale(3), CallFuture[compute_replies.ServiceScale])
    assert_type(s.Service(ONE).generate_api_token("1d"), compute_replies.ServiceToken)
    assert_type(a.Service(ONE).generate_api_token("1d"), CallFuture[compute_replies.ServiceToken])
    assert_type(s.Service(ONE).update_traffic_ratio(TWO, 0.5), replies.Success)
    assert_type(a.Service(ONE).update_traffic_ratio(TWO, 0.5), CallFuture[replies.Success])
    assert_type(s.Service(ONE).downscale_single_route(TWO), replies.Success)
    assert_type(a.Service(ONE).downscale_single_route(TWO), CallFuture[replies.Success])
    assert_type(s.Service(ONE).list_errors(), compute_replies.ServiceErrors)
    assert_type(a.Service(ONE).list_errors(), CallFuture[compute_replies.ServiceErrors])
    assert_type(s.Service(ONE).clear_errors(), None)
    assert_type(a.Service(ONE).clear_errors(), CallFuture[None])


def session_template(s: Session, a: AsyncSession) -> None:
    """SessionTemplate."""
    assert_type(s.SessionTemplate.create("kind: x"), functions.SessionTemplate[Sync])
    assert_type(a.SessionTemplate.create("kind: x"), CallFuture[functions.SessionTemplate[Async]])
    assert_type(s.SessionTemplate.list_templates(), list[compute_replies.TemplateItem])
    assert_type(a.SessionTemplate.list_templates(), CallFuture[list[compute_replies.TemplateItem]])
    assert_type(s.SessionTemplate(ONE).get(), str)
    assert_type(a.SessionTemplate(ONE).get(), CallFuture[str])
    assert_type(s.SessionTemplate(ONE).put("kind: x"), replies.Success)
    assert_type(a.SessionTemplate(ONE).put("kind: x"), CallFuture[replies.Success])
    assert_type(s.SessionTemplate(ONE).delete(), replies.Success)
    assert_type(a.SessionTemplate(ONE).delete(), CallFuture[replies.Success])


def storage(s: Session, a: AsyncSession) -> None:
    """Storage."""
    assert_type(s.Storage.paginated_list(), PaginatedResult)
    assert_type(a.Storage.paginated_list(), CallFuture[PaginatedResult])
    assert_type(s.Storage.detail("local:volume1"), dict[str, Any] | None)
    assert_type(a.Storage.detail("local:volume1"), CallFuture[dict[str, Any] | None])


def system(s: Session, a: AsyncSession) -> None:
    """System."""
    assert_type(s.System.get_versions(), replies.VersionInfo)
    assert_type(a.System.get_versions(), CallFuture[replies.VersionInfo])
    assert_type(s.System.get_manager_version(), str)
    assert_type(a.System.get_manager_version(), CallFuture[str])
    assert_type(s.System.get_api_version(), str)
    assert_type(a.System.get_api_version(), CallFuture[str])


def user(s: Session, a: AsyncSession) -> None:
    """User."""
    assert_type(s.User.authorize("me@example.com", "secret"), AuthToken)
    assert_type(a.User.authorize("me@example.com", "secret"), CallFuture[AuthToken])
    assert_type(s.User.list(), list[dict[str, Any]])
    assert_type(a.User.list(), CallFuture[list[dict[str, Any]]])
    assert_type(s.User.paginated_list(), PaginatedResult)
    assert_type(a.User.paginated_list(), CallFuture[PaginatedResult])
    assert_type(s.User.detail(), dict[str, Any] | None)
    assert_type(a.User.detail(), CallFuture[dict[str, Any] | None])
    assert_type(s.User.detail_by_uuid(), dict[str, Any] | None)
    assert_type(a.User.detail_by_uuid(), CallFuture[dict[str, Any] | None])
    assert_type(s.User.create("d", "me@example.com", "secret"), account_replies.UserResult)
    assert_type(a.User.create("d", "me@example.com", "secret"), CallFuture[account_replies.UserResult])
    assert_type(s.User.update("me@example.com", full_name="Me"), account_replies.UserResult)
    assert_type(a.User.update("me@example.com", full_name="Me"), CallFuture[account_replies.UserResult])
    assert_type(s.User.delete("me@example.com"), replies.MutationResult)
    assert_type(a.User.delete("me@example.com"), CallFuture[replies.MutationResult])
    assert_type(s.User.purge("me@example.com"), replies.MutationResult)
    assert_type(a.User.purge("me@example.com"), CallFuture[replies.MutationResult])


def user_resource_policy(s: Session, a: AsyncSession) -> None:
    """UserResourcePolicy."""
    assert_type(s.UserResourcePolicy.list(), list[dict[str, Any]])
    assert_type(a.UserResourcePolicy.list(), CallFuture[list[dict[str, Any]]])
    assert_type(s.UserResourcePolicy.detail(), dict[str, Any] | None)
    assert_type(a.UserResourcePolicy.detail(), CallFuture[dict[str, Any] | None])
    assert_type(s.UserResourcePolicy.create("p"), account_replies.ResourcePolicyResult)
    assert_type(a.UserResourcePolicy.create("p"), CallFuture[account_replies.ResourcePolicyResult])
    assert_type(
        s.UserResourcePolicy.update(
            "p", max_quota_scope_size=0, max_vfolder_count=0, max_session_count_per_model_session=5
        ),
        replies.MutationResult,
    )
    assert_type(
        a.UserResourcePolicy.update(
            "p", max_quota_scope_size=0, max_vfolder_count=0, max_session_count_per_model_session=5
        ),
        CallFuture[replies.MutationResult],
    )
    assert_type(s.UserResourcePolicy.delete("p"), replies.MutationResult)
    assert_type(a.UserResourcePolicy.delete("p"), CallFuture[replies.MutationResult])


def vfolder(s: Session, a: AsyncSession) -> None:
    """VFolder."""
    assert_type(s.VFolder.create("f"), folder_replies.NewFolder)
    assert_type(a.VFolder.create("f"), CallFuture[folder_replies.NewFolder])
    assert_type(s.VFolder("f").info(), folder_replies.FolderInfo)
    assert_type(a.VFolder("f").info(), CallFuture[folder_replies.FolderInfo])
    assert_type(s.VFolder("f").rename("g"), str)
    assert_type(a.VFolder("f").rename("g"), CallFuture[str])
    assert_type(s.VFolder("f").update_options(), str)
    assert_type(a.VFolder("f").update_options(), CallFuture[str])
    assert_type(s.VFolder("f").clone("g"), folder_replies.NewFolder)
    assert_type(a.VFolder("f").clone("g"), CallFuture[folder_replies.NewFolder])
    assert_type(s.VFolder("f").delete(), dict[str, Any])
    assert_type(a.VFolder("f").delete(), CallFuture[dict[str, Any]])
    assert_type(s.VFolder.delete_by_id(ONE), dict[str, Any])
    assert_type(a.VFolder.delete_by_id(ONE), CallFuture[dict[str, Any]])
    assert_type(s.VFolder.list(), list[folder_replies.FolderItem])
    assert_type(a.VFolder.list(), CallFuture[list[folder_replies.FolderItem]])
    assert_type(s.VFolder.paginated_list(), PaginatedResult)
    assert_type(a.VFolder.paginated_list(), CallFuture[PaginatedResult])
    assert_type(s.VFolder.paginated_own_list(), PaginatedResult)
    assert_type(a.VFolder.paginated_own_list(), CallFuture[PaginatedResult])
    assert_type(s.VFolder.paginated_invited_list(), PaginatedResult)
    assert_type(a.VFolder.paginated_invited_list(), CallFuture[PaginatedResult])
    assert_type(s.VFolder.paginated_project_list(), PaginatedResult)
    assert_type(a.VFolder.paginated_project_list(), CallFuture[PaginatedResult])
    assert_type(s.VFolder("f").mkdir("a"), str)
    assert_type(a.VFolder("f").mkdir("a"), CallFuture[str])
    assert_type(s.VFolder("f").list_files(), folder_replies.FolderFiles)
    assert_type(a.VFolder("f").list_files(), CallFuture[folder_replies.FolderFiles])
    assert_type(s.VFolder("f").rename_file("a/b.txt", "c.txt"), dict[str, Any])
    assert_type(a.VFolder("f").rename_file("a/b.txt", "c.txt"), CallFuture[dict[str, Any]])
    assert_type(s.VFolder("f").move_file("a/b.txt", "c/b.txt"), dict[str, Any])
    assert_type(a.VFolder("f").move_file("a/b.txt", "c/b.txt"), CallFuture[dict[str, Any]])
    assert_type(s.VFolder("f").delete_files(["a.txt"]), str)
    assert_type(a.VFolder("f").delete_files(["a.txt"]), CallFuture[str])
    assert_type(s.VFolder("f").upload(["one.txt"]), list[str])
    assert_type(a.VFolder("f").upload(["one.txt"]), CallFuture[list[str]])
    assert_type(s.VFolder("f").download(["a.txt"]), list[str])
    assert_type(a.VFolder("f").download(["a.txt"]), CallFuture[list[str]])
    assert_type(s.VFolder("f").request_download("a.txt"), folder_replies.DownloadTicket)
    assert_type(a.VFolder("f").request_download("a.txt"), CallFuture[folder_replies.DownloadTicket])
    assert_type(s.VFolder("f").invite("rw", ["you@example.com"]), folder_replies.Invited)
    assert_type(a.VFolder("f").invite("rw", ["you@example.com"]), CallFuture[folder_replies.Invited])
    assert_type(s.VFolder.invitations(), folder_replies.Invitations)
    assert_type(a.VFolder.invitations(), CallFuture[folder_replies.Invitations])
    assert_type(s.VFolder.list_sent_invitations(), folder_replies.Invitations)
    assert_type(a.VFolder.list_sent_invitations(), CallFuture[folder_replies.Invitations])
    assert_type(s.VFolder.accept_invitation(ONE), dict[str, Any])
    assert_type(a.VFolder.accept_invitation(ONE), CallFuture[dict[str, Any]])
    assert_type(s.VFolder.update_invitation(ONE, "ro"), folder_replies.Message)
    assert_type(a.VFolder.update_invitation(ONE, "ro"), CallFuture[folder_replies.Message])
    assert_type(s.VFolder.delete_invitation(inv_id=ONE), dict[str, Any])
    assert_type(a.VFolder.delete_invitation(inv_id=ONE), CallFuture[dict[str, Any]])
    assert_type(s.VFolder("f").leave(), folder_replies.Message)
    assert_type(a.VFolder("f").leave(), CallFuture[folder_replies.Message])
    assert_type(s.VFolder("f").share("rw", ["you@example.com"]), folder_replies.SharedEmails)
    assert_type(a.VFolder("f").share("rw", ["you@example.com"]), CallFuture[folder_replies.SharedEmails])
    assert_type(s.VFolder("f").unshare(["you@example.com"]), folder_replies.UnsharedEmails)
    assert_type(a.VFolder("f").unshare(["you@example.com"]), CallFuture[folder_replies.UnsharedEmails])
    assert_type(s.VFolder.list_shared_vfolders(), folder_replies.SharedFolders)
    assert_type(a.VFolder.list_shared_vfolders(), CallFuture[folder_replies.SharedFolders])
    assert_type(s.VFolder.shared_vfolder_info(ONE), folder_replies.SharedFolders)
    assert_type(a.VFolder.shared_vfolder_info(ONE), CallFuture[folder_replies.SharedFolders])
    assert_type(s.VFolder.update_shared_vfolder(ONE, TWO), folder_replies.Message)
    assert_type(a.VFolder.update_shared_vfolder(ONE, TWO), CallFuture[folder_replies.Message])
    assert_type(s.VFolder.list_hosts(), folder_replies.HostList)
    assert_type(a.VFolder.list_hosts(), CallFuture[folder_replies.HostList])
    assert_type(s.VFolder.list_all_hosts(), folder_replies.HostList)
    assert_type(a.VFolder.list_all_hosts(), CallFuture[folder_replies.HostList])
    assert_type(s.VFolder.list_allowed_types(), list[str])
    assert_type(a.VFolder.list_allowed_types(), CallFuture[list[str]])
    assert_type(s.VFolder.get_performance_metric("local:volume1"), dict[str, Any])
    assert_type(a.VFolder.get_performance_metric("local:volume1"), CallFuture[dict[str, Any]])
    assert_type(s.VFolder.get_fstab_contents(), folder_replies.FstabContents)
    assert_type(a.VFolder.get_fstab_contents(), CallFuture[folder_replies.FstabContents])
    assert_type(s.VFolder.list_mounts(), folder_replies.FolderMounts)
    assert_type(a.VFolder.list_mounts(), CallFuture[folder_replies.FolderMounts])
    assert_type(s.VFolder.mount_host("vol", "10.0.0.1:/vol"), folder_replies.MountOutcome)
    assert_type(a.VFolder.mount_host("vol", "10.0.0.1:/vol"), CallFuture[folder_replies.MountOutcome])
    assert_type(s.VFolder.umount_host("vol"), folder_replies.MountOutcome)
    assert_type(a.VFolder.umount_host("vol"), CallFuture[folder_replies.MountOutcome])
    assert_type(s.VFolder.get_quota("local:volume1", ONE), folder_replies.FolderQuota)
    assert_type(a.VFolder.get_quota("local:volume1", ONE), CallFuture[folder_replies.FolderQuota])
    assert_type(s.VFolder.update_quota("local:volume1", ONE, 1024), folder_replies.FolderQuota)
    assert_type(a.VFolder.update_quota("local:volume1", ONE, 1024), CallFuture[folder_replies.FolderQuota])
    assert_type(s.VFolder.get_usage("local:volume1", ONE), folder_replies.FolderUsage)
    assert_type(a.VFolder.get_usage("local:volume1", ONE), CallFuture[folder_replies.FolderUsage])
    assert_type(s.VFolder.get_used_bytes("local:volume1", ONE), folder_replies.FolderUsedBytes)
    assert_type(a.VFolder.get_used_bytes("local:volume1", ONE), CallFuture[folder_replies.FolderUsedBytes])
    assert_type(s.VFolder.change_vfolder_ownership(ONE, "you@example.com"), dict[str, Any])
    assert_type(a.VFolder.change_vfolder_ownership(ONE, "you@example.com"), CallFuture[dict[str, Any]])
