# shellcheck shell=bash disable=SC2034  # used by the scripts that source it
# Shared settings for `up` and `down`. Sourced, not executed.
# Everything can be overridden from the environment.
: "${CLUSTER_HOME:=${BACKENDAI_CLUSTER_HOME:-${HOME:?}/.cache/backendai-cluster}}"
: "${CLUSTER_HOST:=127.0.0.1}"
: "${PG_PORT:=18100}"
: "${REDIS_PORT:=18110}"
: "${ETCD_PORT:=18120}"
: "${ETCD_PEER_PORT:=18121}"
: "${MANAGER_PORT:=8081}"
: "${AGENT_RPC_PORT:=18130}"
: "${STORAGE_CLIENT_PORT:=18140}"
: "${STORAGE_MANAGER_PORT:=18141}"
: "${COORDINATOR_PORT:=18142}"      # stand-in for the app-proxy coordinator
: "${WEB_PORT:=8090}"
: "${AIOMON_BASE:=18150}"          # +0..+9, aiomonitor consoles of the four servers
: "${KERNEL_PORT_MIN:=18200}"      # ports of kernel REPLs and in-session services
: "${KERNEL_PORT_MAX:=18399}"
: "${AGENT_CPUS:=8}"               # what the agent *claims* to have
: "${AGENT_MEM:=16g}"
: "${PYTHON:=python3.11}"

# The servers read BACKEND_* themselves (e.g. BACKEND_ETCD_ADDR): start from a clean slate.
for _v in ${!BACKEND_@}; do unset "$_v"; done
export no_proxy="$CLUSTER_HOST,localhost${no_proxy:+,$no_proxy}"

VENV=$CLUSTER_HOME/venv
RUN=$CLUSTER_HOME/run              # pid records
LOGS=$CLUSTER_HOME/log
CONF=$CLUSTER_HOME/conf            # rendered templates
STATE=$CLUSTER_HOME/state          # redis/etcd data, volumes, scratches, ipc sockets

say() { printf '[cluster] %s\n' "$*" >&2; }
die() { printf '[cluster] ERROR: %s\n' "$*" >&2; exit 1; }

# A pid record is "<pid> <start time in clock ticks>": a pid that was reused by
# another program no longer matches and is left alone.
# (A zombie that nobody has reaped yet does not count as running.)
start_ticks() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" {print $20}'; }

is_running() {  # is_running NAME -> 0 when the recorded process is still ours
    local pid ticks
    [ -s "$RUN/$1.pid" ] || return 1
    read -r pid ticks < "$RUN/$1.pid"
    [ -n "$ticks" ] && [ "$(start_ticks "$pid")" = "$ticks" ]
}

# Workers outlive a master that was killed. Their process group keeps the master's number, and the kernel gives
# that number to nobody else while the group has members; so a group without its leader is ours.
kill_leftovers() {  # kill_leftovers NAME : what is left of the group whose recorded leader has ended
    local pid
    [ -s "$RUN/$1.pid" ] || return 0
    read -r pid _ < "$RUN/$1.pid"
    [ -e "/proc/$pid" ] && return 0
    if kill -s KILL -- "-$pid" 2>/dev/null; then say "removed leftovers of $1"; sleep 0.3; fi
}

# PostgreSQL refuses to run as root, and root's home may be closed to other accounts,
# so as root its data lives in the home of the account that runs it.
if [ "$(id -u)" = 0 ]; then
    pg_data() { echo "$(getent passwd postgres | cut -d: -f6)/backendai-cluster-$PG_PORT"; }
    as_pg=(setpriv --reuid=postgres --regid=postgres --init-groups --)
else
    pg_data() { echo "$STATE/postgres"; }
    as_pg=()
fi
