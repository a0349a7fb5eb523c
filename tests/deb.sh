#!/usr/bin/env bash
# The Debian package in a throw-away Debian 12: installed, filled in, served from, upgraded, removed and purged. Nothing of this
# machine is changed, and no service is started. Wants root, debootstrap and cargo-deb; the bare system is kept in
# target/debian-12.tar. VESTIBULE_DEB_PROFILE=dev packs the debug build.
set -u
cd "$(dirname "$0")/.." || exit 2
for tool in cargo-deb debootstrap dpkg-deb; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed"; exit 1; }
done
[ "$(id -u)" -eq 0 ] || { echo "a chroot wants root"; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/vestibule-deb.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
root=$work/root
base=target/debian-12.tar
good=0
bad=0

# check WHAT COMMAND...: counts whether the command succeeds.
check() {
    local what=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        good=$((good + 1))
        echo "ok      $what"
    else
        bad=$((bad + 1))
        echo "FAILED  $what"
        cat "$work/out"
    fi
}

inside() { LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }

if [ ! -e "$base" ]; then
    debootstrap --variant=minbase --include=systemd,procps bookworm "$work/base" >"$work/bootstrap.log" 2>&1 ||
        { tail -n 20 "$work/bootstrap.log"; exit 1; }
    tar -cf "$base.new" -C "$work/base" . && mv "$base.new" "$base"
    rm -rf "$work/base"
fi
mkdir "$root" && tar -xf "$base" -C "$root" || exit 1

deb=$(deploy/package "${VESTIBULE_DEB_PROFILE:-release}") || exit 1
cp "$deb" "$root/first.deb"
# A later version with another configuration file.
dpkg-deb -R "$deb" "$work/second"
sed -i 's/^Version: .*/Version: 99.0-1/' "$work/second/DEBIAN/control"
echo '# Of the later version.' >>"$work/second/etc/vestibule/vestibule.toml"
dpkg-deb --root-owner-group -Znone -b "$work/second" "$root/second.deb" >/dev/null || exit 1

config=$root/etc/vestibule/vestibule.toml
mode_of() { [ "$(inside stat -c '%A %U %G' "$1")" = "$2" ]; }
refused() {
    inside vestibule check
    [ $? -eq 2 ] && inside vestibule check 2>&1 | grep -q hostname
}
not_enabled() { [ -z "$(find "$root/etc/systemd" -name 'vestibule*')" ]; }
nothing_left() {
    local left
    left=$(find "$root" -xdev -iname '*vestibule*' -not -path "$root/proc/*")
    [ -z "$left" ] || { echo "$left"; return 1; }
}

check 'it is installed' inside dpkg -i /first.deb
check 'the user is there' inside getent passwd vestibule
check 'the configuration is for root and the daemon' mode_of /etc/vestibule/vestibule.toml '-rw-r----- root vestibule'
check 'the token is for root' mode_of /etc/vestibule/admin-token '-rw------- root root'
check 'and has 64 digits' grep -qE '^[0-9a-f]{64}$' "$root/etc/vestibule/admin-token"
check 'the service is not enabled' not_enabled
check 'the unit is sound' inside systemd-analyze verify --man=no /usr/lib/systemd/system/vestibule.service
check 'the configuration says what to fill in' refused
check 'a man page of a deep command' test -s "$root/usr/share/man/man1/vestibule-held-release.1.gz"
check 'completions for bash' bash -n "$root/usr/share/bash-completion/completions/vestibule"

sed -i -e 's/^#> //' -e 's/^mode = .*/mode = "off"/' -e 's|^relay = .*|relay = "file:/var/lib/vestibule/outbound"|' "$config"
check 'filled in it is valid' inside vestibule check

# Served as systemd would: as its user, the token handed over, in a network of its own.
cat >"$work/serve" <<'SH'
ip link set lo up
install -d -o vestibule -g vestibule -m 700 /var/lib/vestibule
install -d -m 755 /run/credentials
install -o vestibule -m 400 /etc/vestibule/admin-token /run/credentials/admin-token
CREDENTIALS_DIRECTORY=/run/credentials setpriv --reuid vestibule --regid vestibule --init-groups \
    vestibule serve --config /etc/vestibule/vestibule.toml >/log 2>&1 &
for _ in $(seq 100); do vestibule healthcheck >/dev/null 2>&1 && break; sleep 0.1; done
vestibule healthcheck || { cat /log; exit 1; }
printf 'From: grace@partner.example\r\nTo: it@help.example.com\r\nSubject: From the package\r\nMessage-ID: <1@x>\r\n\r\nHello.\r\n' >/mail.eml
vestibule replay --to 127.0.0.1:2525 /mail.eml && vestibule requests list | grep 'From the package' && vestibule addresses --format postfix
status=$?
kill -TERM $!
wait $! || status=1
rm -rf /run/credentials /log /mail.eml
exit $status
SH
cp "$work/serve" "$root/serve"
# `ip` is the machine's: a bare Debian has none.
served() { unshare --net sh -c "ip link set lo up && exec chroot '$root' sh /serve"; }
sed -i '/^ip link/d' "$root/serve"
check 'it serves: the first request, by its own commands as root' served
rm -f "$root/serve"

token=$(cat "$root/etc/vestibule/admin-token")
kept() {
    [ "$(cat "$root/etc/vestibule/admin-token")" = "$token" ] && grep -q '^hostname' "$config" &&
        [ -d "$root/var/lib/vestibule/journal" ] && mode_of /etc/vestibule/vestibule.toml '-rw-r----- root vestibule'
}
check 'it is upgraded' inside dpkg --force-confold -i /second.deb
check 'to the later version' inside sh -c 'dpkg-query -W vestibule | grep -q 99.0-1'
check 'what was filled in, the token and the mails are kept' kept
check 'the later configuration lies beside' grep -q 'later version' "$config.dpkg-dist"
check 'it is removed' inside dpkg -r vestibule
check 'the program is gone' test ! -e "$root/usr/bin/vestibule"
check 'configuration and mails are kept' kept
check 'it is installed again over them' inside dpkg --force-confold -i /second.deb
check 'and they are kept' kept
check 'it is purged' inside dpkg -P vestibule
rm -f "$root/first.deb" "$root/second.deb"
check 'nothing of it is left' nothing_left

echo "$good passed, $bad failed"
[ "$bad" -eq 0 ]
