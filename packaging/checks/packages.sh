# Sourced by packaging/check: what the Debian packages are, and what installing, upgrading, removing and purging them does.

make_debs() { cargo xtask package deb "$@" 2>"$folder/xtask.log" || fail "$(cat "$folder/xtask.log")"; }

echo 'packages: made again they are the same bytes'
(umask 077 && TZ=Asia/Tokyo LC_ALL=C make_debs --out "$folder/again")
for deb in "${debs[@]}"; do
    cmp "$deb" "$folder/again/${deb##*/}"
done

system root
root=$folder/root
in_root() { chroot "$root" "$@"; }
install_debs() {
    cp "$@" "$root/tmp/"
    in_root dpkg --install "${@/#*\///tmp/}" >"$folder/dpkg.log" 2>&1 || fail "dpkg: $(cat "$folder/dpkg.log")"
}

echo 'packages: installed, nothing is started or enabled, and no node has an id'
install_debs "${debs[@]}"
[ -z "$(in_root find /etc/systemd/system /var/lib/systemd -name '*ryo*' -o -name '*consul*')" ] || fail 'a unit is enabled'
[ -z "$(in_root find /var/lib/ryo /opt/consul -mindepth 1)" ] || fail 'there is data already'
for program in ryo ryo-registry ryo-agent ryo-watch consul consul-template; do
    in_root "$program" -h >/dev/null 2>&1 || fail "$program does not run"
    in_root sh -c "! pgrep -x $program" >/dev/null || fail "$program runs"
done
is() { # PATH MODE OWNER
    local found
    found=$(in_root stat -c '%a %U:%G' "$1")
    [ "$found" = "$2 $3" ] || fail "$1 is $found, not $2 $3"
}
is /etc/ryo.d 750 root:ryo
is /etc/ryo-watch.d 750 root:root
is /var/lib/ryo 750 ryo:ryo
is /etc/consul.d 755 consul:consul
is /etc/consul.d/consul.hcl 640 consul:consul
is /opt/consul 755 consul:consul
is /etc/consul-template.d 755 root:root
for user in ryo consul; do
    in_root getent passwd $user | grep ':/usr/sbin/nologin$' >/dev/null || fail "$user can log in"
    in_root getent group $user >/dev/null
done
in_root dpkg-query -W -f '${Provides}' ryo-consul | grep -F "consul (= $(in_root consul version | sed -n 's/Consul v//p'))" >/dev/null ||
    fail 'the package provides another version of Consul than the program says'
for deb in "${debs[@]}"; do
    dpkg-deb --fsys-tarfile "$deb" | tar -t
done >"$folder/names"
for file in usr/share/man/man1/{ryo,ryo-agent,ryo-kv-put,consul,consul-template}.1.gz usr/share/man/man8/{ryo-registry,ryo-watch}.8.gz \
    usr/share/bash-completion/completions/{ryo,consul} usr/share/zsh/vendor-completions/_ryo usr/share/fish/vendor_completions.d/ryo.fish; do
    grep -qxF "./$file" "$folder/names" || fail "$file is missing"
done

echo 'packages: systemd knows every word of the units, and finds them closed'
units=(ryo-registry ryo-agent ryo-watch consul consul-template)
said=$(in_root systemd-analyze verify --man=no "${units[@]/%/.service}" 2>&1) || fail "$said"
[ -z "$said" ] || fail "$said"
for unit in ryo-registry:20 ryo-agent:30 ryo-watch:50 consul:45 consul-template:50; do
    in_root systemd-analyze security --offline=yes --no-pager --threshold="${unit#*:}" "${unit%:*}.service" >"$folder/security" ||
        fail "$(tail -1 "$folder/security")"
    tail -1 "$folder/security"
done

# As the unit does: its program, its user, its configuration.
start_registry() {
    chroot "$root" setpriv --reuid=ryo --regid=ryo --clear-groups /usr/bin/ryo-registry -config-dir=/etc/ryo.d \
        >"$folder/registry.log" 2>&1 &
    registry=$!
    within 60 in_root ryo operator raft list-peers
}
stop_registry() {
    kill $registry
    wait $registry || true
}

echo 'packages: an upgrade keeps data, configuration and the unit that somebody wrote over ours'
printf 'data_dir = "/var/lib/ryo"\nserver = true\nbootstrap_expect = 1\n' >"$root/etc/ryo.d/ryo.hcl"
start_registry
in_root ryo kv put kept yes >/dev/null
stop_registry
id=$(cat "$root/var/lib/ryo/node-id")
echo '# written by a playbook' >>"$root/lib/systemd/system/consul.service"
echo 'datacenter = "mine"' >>"$root/etc/consul.d/consul.hcl"
make_debs --version "$version+later" --out "$folder/later"
install_debs "$folder"/later/*.deb
in_root dpkg-query -W -f '${Version}' ryo | grep -xF "$version+later" >/dev/null || fail 'not upgraded'
grep -q 'written by a playbook' "$root/lib/systemd/system/consul.service" || fail "the playbook's unit is gone"
[ ! -e "$root/lib/systemd/system/consul.service.ryo-keep" ] || fail 'a copy of the unit is left'
grep -q mine "$root/etc/consul.d/consul.hcl" || fail 'the configuration is gone'
start_registry
[ "$(in_root ryo kv get kept)" = yes ] || fail 'the key is gone'
stop_registry
[ "$(cat "$root/var/lib/ryo/node-id")" = "$id" ] || fail 'the node has another id'

echo 'packages: removed they leave data and configuration, purged nothing but the users'
in_root dpkg --remove ryo-consul ryo >/dev/null
[ -e "$root/var/lib/ryo/node-id" ] && [ -e "$root/etc/ryo.d/ryo.hcl" ] && [ -e "$root/etc/consul.d/consul.hcl" ] ||
    fail 'removing took data'
[ ! -e "$root/usr/bin/ryo" ] && [ ! -e "$root/usr/bin/consul" ] || fail 'a program is left'
in_root dpkg --purge ryo-consul ryo >/dev/null
left=$(in_root find / -xdev \( -path /proc -o -path /dev -o -path /tmp \) -prune -o \( -iname '*ryo*' -o -iname '*consul*' \) -print |
    grep -v '^/usr/lib/python3' || true)
[ -z "$left" ] || fail "left behind: $left"
