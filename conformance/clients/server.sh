# Sourced by the scripts beside it: which program is tested, and a server of it on free ports of the loopback address.
#   need TOOL WHAT     ends with an error when this program is not there
#   take_binary "$@"   sets $bin: the first argument, or ryo built from this tree
#   start_server       sets $http (127.0.0.1:PORT) and $server, its process; it ends with the script, and so does $work, a temporary folder
#   start_agent NAME   sets $agent_http and $agent, its process: an agent of that server

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
server=
running=()
group=

# Ends what a script runs in a process group of its own, with all that is left of it.
end_group() {
    [ -z "$group" ] || kill -KILL -- "-$group" 2>/dev/null || true
    group=
}

# What a client leaves read-only (Go's module folders) must not stop the removal.
tidy_up() {
    end_group
    for process in "${running[@]}"; do
        # One that a script has stopped must go on to end.
        { kill "$process" && kill -CONT "$process" && wait "$process"; } 2>/dev/null || true
    done
    chmod -R u+w "$work" && rm -rf "$work"
}
trap tidy_up EXIT
trap 'exit 130' INT TERM

need() {
    command -v "$1" >/dev/null && return
    echo "$1 is missing: install $2" >&2
    exit 2
}

take_binary() {
    need curl curl
    bin=${1:-}
    if [ -z "$bin" ]; then
        bin=${CARGO_TARGET_DIR:-$root/target}/debug/ryo
        (cd "$root" && cargo build --quiet -p ryo)
    fi
    bin=$(realpath "$bin")
    # Under the name that clients and tests start.
    mkdir -p "$work/bin"
    ln -s "$bin" "$work/bin/consul"
    PATH=$work/bin:$PATH
}

# A port that nobody listens at, from a range that the system gives to no outgoing connection.
free_port() {
    local port
    while :; do
        port=$((10000 + RANDOM % 20000))
        case " $taken " in *" $port "*) continue ;; esac
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    taken="$taken $port"
    free=$port
}
taken=

start_server() {
    local port ports=()
    for port in http dns server serf-lan serf-wan; do
        free_port
        ports+=("-$port-port=$free")
        case $port in
        http) http=127.0.0.1:$free ;;
        serf-lan) join=127.0.0.1:$free ;;
        esac
    done
    consul agent -dev -enable-script-checks -node=clients "${ports[@]}" \
        -grpc-port=-1 -grpc-tls-port=-1 "$@" >"$work/server.log" 2>&1 &
    server=$!
    running+=("$server")
    until_passing clients "$http" "$server" "$work/server.log"
}

start_agent() {
    local port ports=()
    for port in http dns serf-lan; do
        free_port
        ports+=("-$port-port=$free")
        [ "$port" != http ] || agent_http=127.0.0.1:$free
    done
    consul agent -node="$1" -data-dir="$work/agent-$1" -bind=127.0.0.1 -retry-join="$join" "${ports[@]}" \
        >"$work/agent-$1.log" 2>&1 &
    agent=$!
    running+=("$agent")
    until_passing "$1" "$agent_http" "$agent" "$work/agent-$1.log"
}

# Waits until a node is healthy in the answers of this address; a process that ends before is an error.
until_passing() {
    local tries=0
    until curl -fs "http://$2/v1/health/node/$1" 2>/dev/null | grep '"passing"' >/dev/null; do
        tries=$((tries + 1))
        if [ $tries -gt 200 ] || ! kill -0 "$3" 2>/dev/null; then
            echo "$1 does not start:" >&2
            tail -5 "$4" >&2
            exit 1
        fi
        sleep 0.1
    done
}
