# shellcheck shell=bash disable=SC2034  # used by the scripts that source it
# What `up` does for 26.9.6 only. Sourced by lib.sh.
PYTHON_VERSION=3.13
PORT_OFFSET=11000

finish_venv() { :; }

load_fixtures() {
    # The installed manager's own declarations of roles (`mgr permissions emit` wants a source checkout).
    "$PY" "$RELEASE_DIR/role_presets.py" > "$CONF/role-presets.json"
    mgr fixture populate "$CONF/role-presets.json"
    sql -d backend -f "$RELEASE_DIR/fixtures/images.sql"
    "$PY" "$RELEASE_DIR/entity_graph.py" "$CLUSTER_HOST" "$PG_PORT"
    mgr permissions provision
    # Without the token `POST /services` answers 503.
    sql -d backend -c "UPDATE scaling_groups SET wsproxy_addr = 'http://$CLUSTER_HOST:$COORDINATOR_PORT',
        wsproxy_api_token = 'cluster-wsproxy-token'"
}

install_tools() { # install_tools ARCHITECTURE : sshd, terminal and so on, from the kernel runner's wheel
    local tool bin=$KRUNNER/opt-kernel
    for tool in tmux sftp-server; do install -m 755 "$SITE/ai/backend/runner/$tool.$1.bin" "$bin/$tool"; done
    install -m 755 "$SITE/ai/backend/runner/ttyd_linux.$1.bin" "$bin/ttyd.bin"
    install -m 755 "$SITE/ai/backend/runner/dropbearmulti.$1.bin" "$bin/dropbearconvert"
    for tool in dropbear dropbearkey; do ln -s dropbearconvert "$bin/$tool.bin"; done
    cp "$CLUSTER_DIR/wrappers/"* "$bin/"
}
