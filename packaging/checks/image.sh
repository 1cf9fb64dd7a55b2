# Sourced by packaging/check: the container image, run by podman with a place of its own, in this network namespace.

printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$folder/graph" "$folder/state" >"$folder/storage.conf"
printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nexit_command_delay = 1\n[containers]\nlog_driver = "k8s-file"\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n' >"$folder/containers.conf"
export CONTAINERS_STORAGE_CONF=$folder/storage.conf CONTAINERS_CONF=$folder/containers.conf
image=localhost/ryo:$version
logs='podman logs --tail 10 consul'

run_image() { # OPTIONS -- WORDS
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    podman run --detach --network host --name consul "${options[@]}" "$image" "$@" >/dev/null
}
end_image() {
    podman rm --force --time 5 consul >/dev/null
}
shows() { # TEXT COMMAND…
    local text=$1
    shift
    "$@" 2>&1 | grep -F -- "$text" >/dev/null
}

echo 'image: one program, authorities for HTTPS, and nothing else'
podman load --quiet --input "$package/ryo-oci.tar" >/dev/null
files=$(podman image save --quiet --format docker-archive "$image" | tar -xO --wildcards '*.tar' | tar -t | grep -v '/$' | sort | tr '\n' ' ')
[ "$files" = 'bin/consul bin/consul-template bin/ryo bin/ryo-agent bin/ryo-entry bin/ryo-registry bin/ryo-watch consul/config consul/data etc/ryo/image.hcl etc/ssl/certs/ca-certificates.crt ' ] ||
    fail "in the image: $files"

echo 'image: flags alone, as progrium/consul: -server -bootstrap -ui'
mkdir "$folder/data" "$folder/config"
echo '{ "datacenter": "image" }' >"$folder/config/own.json"
run_image -v "$folder/data:/data" -v "$folder/config:/config" -h consul-server-node -- -server -bootstrap -ui
within 60 shows '<' curl -sfL http://127.0.0.1:8500/ui/
within 60 shows 'status: NOERROR' dig @127.0.0.1 consul.service.consul SRV
within 60 shows 'leader' podman exec consul consul operator raft list-peers
shows '"Datacenter":"image"' curl -sf http://127.0.0.1:8500/v1/agent/self || fail 'the folder of configuration is not read'
shows consul-server-node podman exec consul consul members || fail 'the node is not called as its container'
podman exec consul consul info >/dev/null || fail 'what the health check runs fails'
podman exec consul consul kv put kept yes >/dev/null
end_image
echo 'image: -server -advertise … -bootstrap-expect … -ui-dir /ui, on the same volume'
run_image -v "$folder/data:/data" -h consul-server-node -- -server -advertise 127.0.0.1 -bootstrap-expect 1 -ui-dir /ui -datacenter image
within 60 shows yes podman exec consul consul kv get kept
within 60 shows '<' curl -sfL http://127.0.0.1:8500/ui/
end_image

echo "image: agent …, as Docker's image"
ip link add net0 type bridge
ip addr add 10.1.2.10/24 dev net0
ip link set net0 up
run_image -e 'CONSUL_LOCAL_CONFIG={ "datacenter": "local" }' -e CONSUL_BIND_INTERFACE=net0 -- agent -server -bootstrap-expect=1
within 60 shows '"Datacenter":"local"' curl -sf http://127.0.0.1:8500/v1/agent/self
within 60 shows 10.1.2.10 dig @127.0.0.1 -p 8600 consul.service.consul
end_image
run_image -- # no word at all
within 60 shows '127.0.0.1' podman exec consul consul operator raft list-peers
end_image
podman run --rm --network host "$image" version | grep '^Consul v' >/dev/null || fail 'a command does not run'
podman run --rm --network host "$image" consul-template -version 2>&1 | grep '^consul-template v' >/dev/null || fail 'the watcher does not run'
echo 'image: as another user'
install -d -o 1000 -g 1000 "$folder/own"
run_image --user 1000:1000 -v "$folder/own:/data" -- agent -server -bootstrap-expect=1 -bind=127.0.0.1
within 60 shows leader podman exec consul consul operator raft list-peers
end_image
logs=
ip link del net0
