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
: "${SIGN_OF_LIFE:=15}" # seconds between two lines of something that takes long

is_python() { # is_python COMMAND: whether it is an interpreter that is new enough
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null
}

python_version() { # python_version COMMAND: 3.11 and the like
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

find_python() { # sets INTERPRETER: that of PYTHON if it is set, else the first that is new enough
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        is_python "$PYTHON" || die "PYTHON is '$PYTHON', which is no Python 3.11 or later"
        INTERPRETER=$PYTHON
        return
    fi
    for candidate in python3.11 python3 python3.12 python3.13 python3.14; do
        if is_python "$candidate"; then
            INTERPRETER=$candidate
            return
        fi
    done
    # An empty Debian has no Python at all.
    command -v python3 > /dev/null || install_packages python3 python3-venv
    is_python python3 || die "missing: Python 3.11 or later (name it in PYTHON if it is not on the PATH)"
    INTERPRETER=python3
}

find_version() { # find_version 3.13|PATH: prints the interpreter; the version's may also be one of pyenv
    local candidate
    for candidate in "$1" "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1"*/bin/python; do
        if command -v "$candidate" > /dev/null && is_python "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

logged() { # logged COMMAND... : its output is kept, and shown when it fails; meanwhile a line now and then
    local log last watcher status=0 start=$SECONDS
    log=$(mktemp)
    # Ends by itself when this script does: Ctrl-C does not reach it.
    while sleep "$SIGN_OF_LIFE" > /dev/null 2>&1 && kill -0 $$ 2> /dev/null; do
        last=$(tail -n 1 "$log")
        say "  $((SECONDS - start)) s: $(cut -c 1-100 <<< "${last:-$*}")"
    done &
    watcher=$!
    "$@" > "$log" 2>&1 || status=$?
    kill "$watcher" 2> /dev/null || true
    wait "$watcher" 2> /dev/null || true
    [ "$status" = 0 ] || tail -n 20 "$log" >&2
    rm -f "$log"
    [ "$status" = 0 ] || die "failed: $*"
}

install_packages() { # install_packages DEBIAN_PACKAGE..., or stop with a line that names them
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        die "missing: install the Debian packages $* as root (apt-get install $*)"
    fi
    say "apt-get install $*"
    logged apt-get update
    logged env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

new_venv() { # new_venv FOLDER, of INTERPRETER
    # Debian splits the part of Python that `venv` needs into a package of its own.
    "$INTERPRETER" -c 'import ensurepip' 2> /dev/null || install_packages "python$(python_version "$INTERPRETER")-venv"
    [ ! -e "$1" ] || [ -e "$1/pyvenv.cfg" ] || die "$1 exists and is no virtual environment"
    logged "$INTERPRETER" -m venv --clear "$1"
}

install() { # install VENV PIP_ARGUMENT... ; without its bar, pip's last line tells what it does
    logged "$1/bin/python" -m pip install --disable-pip-version-check --progress-bar off "${@:2}"
}

# The vendor's client installs the same import path: one of the two would hide parts of the other.
refuse_vendor() { # refuse_vendor PYTHON
    if "$1" -c 'from importlib.metadata import distribution; distribution("backend.ai-client")' 2> /dev/null; then
        die "$1 sees the distribution backend.ai-client, which shares the import path ai.backend.client: remove it (or the environment)"
    fi
}

project_venv() { # project_venv [EXTRAS]: makes or refreshes $PROJECT_VENV; quick when nothing has changed
    local extras=${1:-test,dev} sum key known python=$PROJECT_VENV/bin/python
    find_python
    if is_python "$python"; then
        refuse_vendor "$python"
        if [ -n "${PYTHON:-}" ] && [ "$("$python" -VV)" != "$("$INTERPRETER" -VV)" ]; then
            say "$PROJECT_VENV has $("$python" -V), PYTHON is $("$INTERPRETER" -V): making it anew"
            can_write
            new_venv "$PROJECT_VENV"
        fi
    fi
    # Which packages there are is read from the folders (see setup.py).
    sum=$({ echo "$ROOT" && cat "$ROOT/setup.py" "$ROOT/client/_version.py" && package_folders; } | sha256sum)
    known=$(cat "$PROJECT_VENV/.key" 2> /dev/null || true)
    key="$sum $extras"
    # An environment that has everything has the fewer extras of a demo too.
    if [[ $known != "$key" && $known != "$sum test,dev" ]] || ! is_python "$python"; then
        can_write
        is_python "$python" || new_venv "$PROJECT_VENV"
        say "installing into $PROJECT_VENV ($("$python" -V)); minutes, where pip has to fetch everything"
        install "$PROJECT_VENV" -e "${ROOT}[$extras]"
        refuse_vendor "$python"
        echo "$key" > "$PROJECT_VENV/.key"
    fi
}

package_folders() {
    (cd "$ROOT" && find client actors functions sessions tools/sandbox -name __init__.py | LC_ALL=C sort)
}

can_write() {
    { [ -w "$ROOT" ] && { [ ! -e "$PROJECT_VENV" ] || [ -w "$PROJECT_VENV" ]; }; } ||
        die "no write access to $ROOT or $PROJECT_VENV: work on a copy of your own"
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
