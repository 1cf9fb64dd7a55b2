# Sourced by examples that run real programs: a network namespace of their own, so that ports and addresses are the usual ones, and a
# folder that stands for the machine's: what is copied into it has /etc, /run and /var below that folder. RYO is the program.
#   stage_enter "$0" "$@"   runs the script again inside a namespace; ends with 77 where none may be made
#   stage_open              makes the folder $root, which goes with the script's end, and every program in $started with it
#   stage_copy FROM TO      copies a folder into it
#   stage_registry          starts a registry in memory on the usual ports
#   stage_fail WHY          ends with 1, after the log

here=$(cd "$(dirname "$0")" && pwd)
export PATH="$PATH:/usr/sbin:/sbin"

stage_enter() {
    script=$1
    shift
    RYO=$(realpath -m -- "${RYO:-$here/../target/debug/ryo}")
    export RYO
    [ -x "$RYO" ] || { echo "build it first: cargo build -p ryo, or set RYO to the program" >&2; exit 1; }
    [ -z "${STAGE_INSIDE-}" ] || return 0
    as_root=--map-root-user
    [ "$(id -u)" != 0 ] || as_root=
    unshare $as_root --net true 2>/dev/null || { echo "no network namespace may be made here" >&2; exit 77; }
    STAGE_INSIDE=1 exec unshare $as_root --net "$script" "$@"
}

stage_open() {
    ip link set lo up
    root=$(mktemp -d)
    started=
    # Some of them may have ended already.
    trap 'stage_end; rm -rf "$root"' EXIT
    trap 'exit 1' HUP INT TERM
    mkdir -p "$root/etc/ryo-watch" "$root/run" "$root/var/log" "$root/var/lib" "$root/bin"
    export HOME="$root" PATH="$root/bin:$PATH"
}

# Ends what was started: asked first, for it may have programs of its own to end.
stage_end() {
    [ -n "$started" ] || { wait; return 0; }
    kill $started 2>/dev/null || true
    for process in $started; do
        tries=300
        while kill -0 "$process" 2>/dev/null && [ $tries -gt 0 ]; do
            tries=$((tries - 1))
            sleep 0.1
        done
        kill -9 "$process" 2>/dev/null || true
    done
    wait
}

stage_copy() {
    mkdir -p "$root/$2"
    cp -r "$1/." "$root/$2/"
    find "$root/$2" -type f -exec sed -i -E "s#(^|[^[:alnum:]_])/(etc|run|var)/#\\1$root/\\2/#g" {} +
}

stage_registry() {
    "$RYO" dev -node=registry "$@" > "$root/registry.log" 2>&1 &
    started="$started $!"
    stage_until 60 stage_lists http://127.0.0.1:8500/v1/catalog/node/registry
}

# Whether an answer lists anything that has an address.
stage_lists() { curl -sf -o "$root/listed" "$1" && grep -q Address "$root/listed"; }

# Tries a command until it works, for a number of seconds at most.
stage_until() {
    tries=$(($1 * 10))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || stage_fail "not in time: $*"
        sleep 0.1
    done
}

stage_fail() {
    echo "$*" >&2
    for log in "$root"/*.log; do
        echo "---- $(basename "$log")"
        cat "$log"
    done >&2
    exit 1
}
