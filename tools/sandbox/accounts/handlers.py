"""``/auth``: the echo, roles, passwords, sign-up and sign-out, ssh keys."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.parameters import (
    LEFT_OUT,
    Field,
    blank_text,
    choice,
    optional,
    text,
    uuid_value,
)
from ai.backend.client.sandbox.core.problems import Problem, invalid, not_found
from ai.backend.client.sandbox.core.web import Call, Role, Routes, answer, missing

SIGN_UP_RATE_LIMIT = 1000

routes = Routes()


@routes.add("GET /auth", "POST /auth", "GET /auth/test", "POST /auth/test")
async def echo(call: Call) -> web.Response:
    if call.sandbox.v9 and call.request.method == "GET":
        return answer({"authorized": "yes", "echo": ""})  # it reads nothing
    given = await call.parameters({"echo": Field(text)})
    return answer({"authorized": "yes", "echo": given["echo"]})


@routes.add("GET /auth/role")
async def role(call: Call) -> web.Response:
    given = await call.parameters({"group": Field(optional(uuid_value), None)})
    caller = call.caller
    group_role = None
    if given["group"] is not None:
        with call.sandbox.read() as database:
            member = database.get(model.Membership, (given["group"], caller.user_id)) is not None
            if not member and not (call.sandbox.v9 and caller.is_superadmin):
                raise not_found("project (user group)", "No such project or you are not the member of it.")
        group_role = "user"
    return answer(
        {
            "global_role": "superadmin" if caller.is_superadmin else "user",
            "domain_role": "admin" if caller.is_admin else "user",
            "group_role": group_role,
        }
    )


@routes.add("POST /auth/authorize", role=Role.ANYBODY)
async def authorize(call: Call) -> web.Response:
    given = await call.parameters(
        {
            "type": Field(choice("keypair", "jwt")),
            "domain": Field(text),
            "username": Field(text),
            "password": Field(text),
        },
        extra=True,
    )
    if given["type"] != "keypair":
        unsupported = "Unsupported authorization type"
        raise Problem("invalid-schema", unsupported) if call.sandbox.v9 else invalid(unsupported)
    with call.sandbox.read() as database:
        user = with_password(database, given["domain"], given["username"], given["password"])
        if user is not None and user.status == "before-verification":
            raise Problem("auth-failed", "This account needs email verification.")
        if user is None or user.status != "active":
            raise Problem("auth-failed", "User credential mismatch.")
        keypair = (
            database.query(model.KeyPair)
            .filter_by(user=user.uuid, is_active=True)
            .order_by(model.KeyPair.is_admin.desc(), model.KeyPair.created_at)
            .first()
        )
    if keypair is None:
        raise Problem("auth-failed", "No API keypairs found.")
    data = {"access_key": keypair.access_key, "secret_key": keypair.secret_key, "role": user.role}
    if not call.sandbox.v4:
        data["status"] = user.status
    if call.sandbox.v9:
        data |= {
            "response_type": "success",
            "type": "keypair",
            "user_id": str(user.uuid),
            "session_token": secrets.token_hex(16),
        }
    return answer({"data": data})


def with_password(database: Database, domain: str, username: str, password: str) -> model.User | None:
    """The user of this name or e-mail address, if this is the password."""
    user = (
        database.query(model.User)
        .filter(
            (model.User.email == username) | (model.User.username == username),
            model.User.domain_name == domain,
        )
        .one_or_none()
    )
    return user if user is not None and seed.password_fits(password, user.password) else None


@routes.add("POST /auth/signup", role=Role.ANYBODY)
async def sign_up(call: Call) -> web.Response:
    """Keys that are no good until an administrator makes the user active, as on managers that verify e-mail addresses.

    Otherwise anybody could run code as whoever started the sandbox.
    """
    given = await call.parameters(
        {
            "domain": Field(text),
            "email": Field(text),
            "password": Field(text),
            "username": Field(text, LEFT_OUT),
            "full_name": Field(blank_text, ""),
            "description": Field(blank_text, ""),
        },
        extra=True,
    )
    with call.sandbox.write() as database:
        if database.query(model.User).filter_by(email=given["email"]).count():
            raise Problem("generic-bad-request", "Email already exists")
        if database.query(model.User).filter_by(username=given.get("username", given["email"])).count():
            raise Problem("generic-bad-request", "Username already exists")
        keypair = add_user(
            database,
            {
                "domain_name": given["domain"],
                "email": given["email"],
                "username": given.get("username", given["email"]),
                "password": given["password"],
                "full_name": given["full_name"],
                "description": given["description"],
                "status": "before-verification",
                "status_info": "user-signup",
            },
            rate_limit=SIGN_UP_RATE_LIMIT,
        )
        group = database.query(model.Group).filter_by(domain_name=given["domain"], name=seed.GROUP).first()
        if group is not None:
            database.add(model.Membership(group_id=group.id, user_id=keypair.user))
    return answer({"access_key": keypair.access_key, "secret_key": keypair.secret_key}, 201)


def add_user(database: Database, values: dict[str, Any], rate_limit: int) -> model.KeyPair:
    """A new user and its first keypair.

    Args:
        database: Where to put them.
        values: Columns of the user; the password in plain text.
        rate_limit: Calls per 15 minutes.

    Returns:
        The keypair.
    """
    access_key, secret_key = seed.new_keys()
    user = model.User(
        **{**values, "uuid": uuid.uuid4(), "password": seed.hashed(values["password"])}, main_access_key=access_key
    )
    keypair = model.KeyPair(
        access_key=access_key,
        secret_key=secret_key,
        user_id=user.email,
        user=user.uuid,
        is_active=values.get("status", "active") == "active",
        is_admin=values.get("role") in ("superadmin", "admin"),
        rate_limit=rate_limit,
    )
    database.add_all([user, keypair])
    database.flush()
    return keypair


@routes.add("POST /auth/signout")
async def sign_out(call: Call) -> web.Response:
    given = await call.parameters({"email": Field(text, names=("email", "username")), "password": Field(text)})
    if given["email"] != call.caller.email:
        raise Problem("generic-forbidden", "Not the account owner")
    with call.sandbox.write() as database:
        user = with_password(database, call.caller.domain, given["email"], given["password"])
        if user is None:
            raise Problem("generic-bad-request", "Invalid email and/or password")
        user.status = "inactive"
        database.query(model.KeyPair).filter_by(user_id=user.email).update({"is_active": False})
    return answer({})


@routes.add("POST /auth/update-full-name")
async def update_full_name(call: Call) -> web.Response:
    given = await call.parameters({"email": Field(text), "full_name": Field(text)})
    with call.sandbox.write() as database:
        database.query(model.User).filter_by(uuid=call.caller.user_id).update({"full_name": given["full_name"]})
    return answer({})


@routes.add("POST /auth/update-password")
async def update_password(call: Call) -> web.Response:
    given = await call.parameters(
        {"old_password": Field(text), "new_password": Field(text), "new_password2": Field(text)}
    )
    with call.sandbox.write() as database:
        user = with_password(database, call.caller.domain, call.caller.email, given["old_password"])
        if user is None:
            raise Problem("auth-failed", "Old password mismatch")
        if given["new_password"] != given["new_password2"]:
            return answer({"error_msg": "new password mismatch"}, 400)
        user.password = seed.hashed(given["new_password"])
        user.need_password_change = False
    return answer({})


@routes.add("POST /auth/update-password-no-auth", role=Role.ANYBODY)
async def update_expired_password(call: Call) -> web.Response:
    await call.parameters(
        {name: Field(text) for name in ("domain", "username", "current_password", "new_password")}
    )  # fmt: skip
    # As a manager does where no maximum age of passwords is set.
    raise Problem("generic-bad-request", "Unsupported function.")


@routes.add("GET /auth/ssh-keypair")
async def ssh_key(call: Call) -> web.Response:
    with call.sandbox.read() as database:
        keypair = database.get_one(model.KeyPair, call.caller.access_key)
    return answer({"ssh_public_key": keypair.ssh_public_key or ("" if call.sandbox.v9 else None)})


routes.add("PATCH /auth/ssh-keypair")(missing("making ssh keys"))


@routes.add("POST /auth/ssh-keypair")
async def set_ssh_key(call: Call) -> web.Response:
    given = await call.parameters({"pubkey": Field(text), "privkey": Field(text)})
    keys = {
        "ssh_public_key": given["pubkey"].rstrip() + "\n",
        "ssh_private_key": given["privkey"].rstrip() + "\n",
    }
    with call.sandbox.write() as database:
        keypair = database.get_one(model.KeyPair, call.caller.access_key)
        keypair.ssh_public_key, keypair.ssh_private_key = keys["ssh_public_key"], keys["ssh_private_key"]
    return answer(keys)
