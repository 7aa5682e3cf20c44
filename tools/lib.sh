# shellcheck shell=bash
# What the entry points in this folder share. Sourced, not executed; the caller runs `set -euo pipefail`.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${ACTOR_CLIENT_VENV:=$ROOT/.venv}" # the project's virtual environment
PROJECT_VENV=$ACTOR_CLIENT_VENV

say() { printf '[tools] %s\n' "$*" >&2; }
die() {
    printf '[tools] ERROR: %s\n' "$*" >&2
    exit 1
}

# A BACKEND_* setting of the caller's own must not lead tests or a demo to the caller's real server.
for _name in "${!BACKEND_@}" "${!SORNA_@}" "${!CLUSTER_26_9_@}"; do unset "$_name"; done
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"
export NO_PROXY=$no_proxy

find_python() { # sets PYTHON to the first interpreter that is new enough
    local candidate
    for candidate in "${PYTHON:-python3.11}" python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            export PYTHON=$candidate
            return
        fi
    done
    die "missing: Python 3.11 (name it in PYTHON if it is not on the PATH)"
}

logged() { # logged COMMAND... : quiet; when it fails, the end of what it printed
    local log
    log=$(mktemp)
    if ! "$@" > "$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "failed: $*"
    fi
    rm -f "$log"
}

install_package() { # install_package DEBIAN_PACKAGE, or stop with a line that names it
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        die "missing: the Debian package $1 (install it as root)"
    fi
    say "apt-get install $1"
    logged apt-get update
    logged env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1"
}

new_venv() { # new_venv FOLDER
    # Debian splits the part of Python that `venv` needs into a package of its own.
    "$PYTHON" -c 'import ensurepip' 2> /dev/null || install_package python3.11-venv
    [ ! -e "$1" ] || [ -e "$1/pyvenv.cfg" ] || die "$1 exists and is no virtual environment"
    logged "$PYTHON" -m venv --clear "$1"
}

# The vendor's client installs the same import path: one of the two would hide parts of the other.
refuse_vendor() { # refuse_vendor PYTHON
    if "$1" -c 'from importlib.metadata import distribution; distribution("backend.ai-client")' 2> /dev/null; then
        die "$1 sees the distribution backend.ai-client, which shares the import path ai.backend.client: remove it (or the environment)"
    fi
}

project_venv() { # project_venv [EXTRAS]: makes or refreshes $PROJECT_VENV; quick when setup.py has not changed
    local extras=${1:-test,dev} sum key known python=$PROJECT_VENV/bin/python
    find_python
    [ ! -x "$python" ] || refuse_vendor "$python"
    sum=$({ echo "$ROOT" && cat "$ROOT/setup.py" "$ROOT/client/_version.py"; } | sha256sum)
    known=$(cat "$PROJECT_VENV/.key" 2> /dev/null || true)
    key="$sum $extras"
    # An environment that has everything has the fewer extras of a demo too.
    if [[ $known != "$key" && $known != "$sum test,dev" ]] || ! "$python" -c '' 2> /dev/null; then
        { [ -w "$ROOT" ] && { [ ! -e "$PROJECT_VENV" ] || [ -w "$PROJECT_VENV" ]; }; } ||
            die "no write access to $ROOT or $PROJECT_VENV: work on a copy of your own"
        say "installing into $PROJECT_VENV"
        "$python" -c '' 2> /dev/null || new_venv "$PROJECT_VENV"
        logged "$python" -m pip install -q --disable-pip-version-check -e "${ROOT}[$extras]"
        refuse_vendor "$python"
        echo "$key" > "$PROJECT_VENV/.key"
    fi
}

of_cluster() ( # of_cluster RELEASE COMMAND... : runs it with the settings of that release's cluster
    # shellcheck source=tools/cluster/lib.sh
    . "$ROOT/tools/cluster/lib.sh"
    use_release "$1"
    "${@:2}"
)

STARTED=() # releases whose clusters were started here
stop_clusters() {
    local release
    for release in "${STARTED[@]}"; do "$ROOT/tools/cluster/down" --release "$release"; done
}

# start_cluster RELEASE [PREFIX]: starts a cluster unless it runs, exports its BACKEND_* lines, with PREFIX before the
# names; at exit what was started is stopped
start_cluster() {
    local release=$1 prefix=${2:-} lines key value
    if of_cluster "$release" is_running manager; then
        say "using the Backend.AI $release that runs already"
    else
        say "starting a Backend.AI $release on loopback (some minutes the first time)"
        STARTED+=("$release")
        trap stop_clusters EXIT
    fi
    lines=$("$ROOT/tools/cluster/up" --release "$release") || exit 1
    while IFS='=' read -r key value; do export "$prefix$key=$value"; done <<< "$lines"
}
