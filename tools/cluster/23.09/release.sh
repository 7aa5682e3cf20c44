# shellcheck shell=bash disable=SC2034  # used by the scripts that source it
# What `up` does for 23.09.10 only. Sourced by lib.sh.
PYTHON_VERSION=3.11
PORT_OFFSET=0

# One defect of manager 23.09.10 is mended: looking up a session appends to a default argument, so that every request
# makes all later ones slower (and the manager bigger), until after some thousand requests each takes seconds.
finish_venv() {
    local file=$SITE/ai/backend/manager/models/session.py
    sed -i 's/^\( *\)eager_loading_op\.extend(\[/\1eager_loading_op = [*eager_loading_op]\n&/' "$file"
}

load_fixtures() {
    mgr fixture populate "$RELEASE_DIR/fixtures/main-access-keys.json"
    sql -d backend -f "$RELEASE_DIR/fixtures/images.sql"
    sql -d backend -c "UPDATE scaling_groups SET wsproxy_addr = 'http://$CLUSTER_HOST:$COORDINATOR_PORT'"
}

install_tools() { # install_tools ARCHITECTURE : sshd, terminal and so on, from the kernel runner's wheel
    local tool file bin=$KRUNNER/opt-kernel
    for tool in dropbear dropbearkey dropbearconvert tmux sftp-server scp; do
        for file in "$SITE/ai/backend/runner/$tool".ubuntu*."$1".bin; do
            [ -e "$file" ] && install -m 755 "$file" "$bin/$tool" # the last one wins: newest
        done
    done
    for tool in dropbear dropbearkey; do
        mv "$bin/$tool" "$bin/$tool.bin"
        cp "$CLUSTER_DIR/wrappers/$tool" "$bin/"
    done
    install -m 755 "$SITE/ai/backend/krunner/static_gnu/ttyd_linux.$1.bin" "$KRUNNER/opt-backend.ai/bin/ttyd.bin"
    cp "$CLUSTER_DIR/wrappers/ttyd" "$KRUNNER/opt-backend.ai/bin/"
}
