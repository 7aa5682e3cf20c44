# shellcheck shell=bash disable=SC2034  # used by the scripts that source it
# What `up`, `down` and the tools share. Sourced, not executed; then `use_release` settles one of the clusters.
#
# From the environment:
#   CLUSTER_HOME        folder of the clusters, one folder per release
#   CLUSTER_PORT_BASE   number from which the ports are counted, see `use_release` (26.9: 11000 higher)
#   PYTHON311, PYTHON313   interpreters for the servers, if `server_python` does not find them by itself
#   AGENT_CPUS, AGENT_MEM_GIB   what the agent *claims* to have
CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RELEASES=(23.09 26.9)
: "${CLUSTER_HOME:=${HOME:?}/.cache/backendai-clusters}"
: "${CLUSTER_PORT_BASE:=18000}"
: "${AGENT_CPUS:=8}"
: "${AGENT_MEM_GIB:=16}"
CLUSTER_HOST=127.0.0.1
AGENT_MEM_BYTES=$((AGENT_MEM_GIB << 30))

# The servers read BACKEND_* themselves (e.g. BACKEND_ETCD_ADDR): start from a clean slate.
for _v in ${!BACKEND_@}; do unset "$_v"; done
export no_proxy="$CLUSTER_HOST,localhost${no_proxy:+,$no_proxy}"

say() { printf '[cluster] %s\n' "$*" >&2; }
die() {
    printf '[cluster] ERROR: %s\n' "$*" >&2
    exit 1
}

use_release() { # use_release RELEASE : the settings of one cluster
    RELEASE=$1
    [[ " ${RELEASES[*]} " == *" $RELEASE "* ]] || die "no release '$RELEASE': there are ${RELEASES[*]}"
    RELEASE_DIR=$CLUSTER_DIR/$RELEASE
    # Sets PYTHON_VERSION and PORT_OFFSET, and defines what `up` does differently for this release.
    # shellcheck source=/dev/null
    . "$RELEASE_DIR/release.sh"

    CLUSTER=$CLUSTER_HOME/$RELEASE
    VENV=$CLUSTER/venv
    PY=$VENV/bin/python
    SITE=$VENV/lib/python$PYTHON_VERSION/site-packages
    RUN=$CLUSTER/run     # pid records
    LOGS=$CLUSTER/log
    CONF=$CLUSTER/conf   # rendered templates
    STATE=$CLUSTER/state # redis/etcd data, volumes, scratches, ipc sockets
    KRUNNER=$CLUSTER/krunner

    local base=$((CLUSTER_PORT_BASE + PORT_OFFSET))
    MANAGER_PORT=$((base + 81)) MANAGER_INTERNAL_PORT=$((base + 82))
    WEB_PORT=$((base + 90))
    PG_PORT=$((base + 100))
    REDIS_PORT=$((base + 110))
    ETCD_PORT=$((base + 120)) ETCD_PEER_PORT=$((base + 121))
    AGENT_RPC_PORT=$((base + 130)) AGENT_INTERNAL_PORT=$((base + 131))
    AGENT_SOCK_PORT=$((base + 132)) AGENT_METADATA_PORT=$((base + 133))
    STORAGE_CLIENT_PORT=$((base + 140)) STORAGE_MANAGER_PORT=$((base + 141)) STORAGE_INTERNAL_PORT=$((base + 143))
    COORDINATOR_PORT=$((base + 142))
    # Two consoles each of manager, agent and storage-proxy.
    AIOMON_0=$((base + 150)) AIOMON_1=$((base + 151)) AIOMON_2=$((base + 152))
    AIOMON_3=$((base + 153)) AIOMON_4=$((base + 154)) AIOMON_5=$((base + 155))
    KERNEL_PORT_MIN=$((base + 200)) KERNEL_PORT_MAX=$((base + 399)) # kernels and in-session services

    # PostgreSQL refuses to run as root, and root's home may be closed to other accounts,
    # so as root its data lives in the home of the account that runs it.
    as_pg=()
    if [ "$(id -u)" = 0 ]; then as_pg=(setpriv --reuid=postgres --regid=postgres --init-groups --); fi
}

pg_data() { # the folder; a function, since the account may come with the package
    if [ "$(id -u)" = 0 ]; then
        echo "$(getent passwd postgres | cut -d: -f6)/backendai-cluster-$PG_PORT"
    else
        echo "$STATE/postgres"
    fi
}

parse_arguments() { # parse_arguments FLAG ARGUMENTS... : sets RELEASE and, if FLAG is among the arguments, `flag`
    local known=$1 release=${RELEASES[0]}
    shift
    flag=no
    while [ $# -gt 0 ]; do
        case $1 in
            --release)
                [ $# -gt 1 ] || die "--release needs one of ${RELEASES[*]}"
                release=$2
                shift
                ;;
            --release=*) release=${1#*=} ;;
            "$known") flag=yes ;;
            *) die "unknown argument '$1': use [--release ${RELEASES[*]}] [$known]" ;;
        esac
        shift
    done
    use_release "$release"
}

# A shim of pyenv on the PATH is no interpreter until it runs, and free-threaded builds ("3.13t") have other wheels.
server_python() { # server_python : prints the interpreter for this release's servers, or fails
    local named=PYTHON${PYTHON_VERSION/./} candidate
    for candidate in "${!named:-}" "${PYTHON:-}" "python$PYTHON_VERSION" \
        "${PYENV_ROOT:-$HOME/.pyenv}/versions/$PYTHON_VERSION"[.-]*/bin/python; do
        [ -n "$candidate" ] || continue
        if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2] + sys.abiflags)' 2> /dev/null)" = \
            "$PYTHON_VERSION" ]; then
            command -v "$candidate"
            return
        fi
        [ "$candidate" != "${!named:-}" ] || break # the caller's choice is not passed over in silence
    done
    return 1
}

# A pid record is "<pid> <start time in clock ticks>": a pid that was reused by
# another program no longer matches and is left alone.
# (A zombie that nobody has reaped yet does not count as running.)
start_ticks() { sed 's/^.*) //' "/proc/$1/stat" 2> /dev/null | awk '$1 != "Z" {print $20}'; }

is_running() { # is_running NAME -> 0 when the recorded process is still ours
    local pid ticks
    [ -s "$RUN/$1.pid" ] || return 1
    read -r pid ticks < "$RUN/$1.pid"
    [ -n "$ticks" ] && [ "$(start_ticks "$pid")" = "$ticks" ]
}

# Workers outlive a master that was killed. Their process group keeps the master's number, and the kernel gives
# that number to nobody else while the group has members; so a group without its leader is ours.
kill_leftovers() { # kill_leftovers NAME : what is left of the group whose recorded leader has ended
    local pid
    [ -s "$RUN/$1.pid" ] || return 0
    read -r pid _ < "$RUN/$1.pid"
    [ -e "/proc/$pid" ] && return 0
    if kill -s KILL -- "-$pid" 2> /dev/null; then
        say "removed leftovers of $1"
        sleep 0.3
    fi
}
