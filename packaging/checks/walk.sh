# Sourced by packaging/check: docs/install.md's last part as a new user follows it. Three systems, each with the package installed and
# an address of its own; the page's files are written and its commands are run in their order. There is no systemd here: a stand-in
# for systemctl starts what the units' ExecStart says, as their User.

page=docs/install.md
unit_logs() { tail -n 5 "$folder"/*/var/log/units/*; }
logs=unit_logs
declare -A inside

machine() { # NAME ADDRESS
    local root=$folder/$1
    system "$1"
    mkdir -p "$root/run/haproxy"
    install -m 755 packaging/checks/systemctl "$root/usr/local/bin/systemctl"
    unshare --net --uts sh -c 'hostname "$1"; exec sleep infinity' sh "$1" &
    inside[$1]=$!
    within 60 shows_name "$1" "${inside[$1]}"
    ip link add "$1" type veth peer name eth0 netns "${inside[$1]}"
    ip link set "$1" master fleet up
    nsenter --net="/proc/${inside[$1]}/ns/net" sh -ec "ip link set lo up; ip addr add $2/24 dev eth0; ip link set eth0 up"
    cp "${debs[0]}" "$root/root/"
    on "$1" "cd /root && apt-get install --yes ./ryo_*.deb" >"$folder/apt.log" 2>&1 || fail "$(cat "$folder/apt.log")"
}
shows_name() { [ "$(nsenter --uts="/proc/$2/ns/uts" hostname)" = "$1" ]; }
on() { # NAME COMMANDS
    nsenter --net="/proc/${inside[$1]}/ns/net" --uts="/proc/${inside[$1]}/ns/uts" chroot "$folder/$1" sh -ec "$2" </dev/null
}

# The page's blocks for one machine, in order: writes a block that follows a line "`/path`:" there, runs a block of sh.
follow() {
    local name=$1 path= kind= text= within_part= line
    while IFS= read -r line; do
        case $line in
        "### $name,"*) within_part=1 ;;
        '### '* | '## '*) within_part= ;;
        '`/'*'`:') path=${line#?} path=${path%\`:} ;;
        '```')
            if [ -z "$kind" ]; then
                kind=file text=
                continue
            fi
            if [ -n "$within_part" ] && [ "$kind" = sh ]; then
                echo "$text" | sed 's/^/    /'
                on "$name" "$text" >"$folder/$name.said" 2>&1 || fail "$name: $text: $(cat "$folder/$name.said")"
            elif [ -n "$within_part" ]; then
                mkdir -p "$folder/$name$(dirname "$path")"
                printf '%s' "$text" >"$folder/$name$path"
            fi
            kind=
            continue
            ;;
        '```'*) kind=${line#\`\`\`} text= ;;
        esac
        case $line in
        '```'*) ;;
        *) [ -z "$kind" ] || text+=$line$'\n' ;;
        esac
    done <"$page"
}

ip link add fleet type bridge
ip link set fleet up
ip addr add 10.1.1.1/24 dev fleet
for each in registry:10.1.1.10 web:10.1.1.11 proxy:10.1.1.12; do
    echo "walk: ${each%:*} at ${each#*:}"
    machine "${each%:*}" "${each#*:}"
    follow "${each%:*}"
done
for step in $(seq 60); do
    said=$(curl -s --max-time 2 http://10.1.1.12/ || true)
    [[ $said != *'It works'* ]] || break
    [ "$step" != 60 ] || fail "no page through the proxy: $said"
    sleep 1
done
echo 'walk: the page comes through the proxy'
[ "$(on web 'ryo members' | grep -c alive)" = 3 ] || fail "members: $(on web 'ryo members')"
for name in registry web proxy; do
    kill "${inside[$name]}"
done
