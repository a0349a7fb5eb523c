#!/usr/bin/env bash
# Exim relays to the built daemon with BDAT (CHUNKING), which neither Postfix, swaks nor msmtp use; what comes so is stored byte for
# byte. Debian's Exim and Postfix can't both be installed, so its package is unpacked beside the build, and run with a user of its own
# that nobody else sees.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
[ "$(id -u)" -eq 0 ] || { echo "exim wants to be started as root"; exit 1; }
need unshare
unpacked=$(realpath -m "${CARGO_TARGET_DIR:-target}")/exim
exim=$unpacked/usr/sbin/exim4
if [ ! -x "$exim" ]; then
    chmod 755 "$work"
    { mkdir -p "$(dirname "$unpacked")" && cd "$work" && apt-get download -q exim4-daemon-light && dpkg -x exim4-daemon-light_*.deb exim &&
        mv exim "$unpacked" && cd "$OLDPWD"; } >"$work/apt" 2>&1 || { cat "$work/apt"; echo "exim4-daemon-light can't be had"; exit 1; }
fi
if ldd "$exim" | grep 'not found'; then exit 1; fi

smtp_section=${smtp_section/64 KiB/36 MiB}
start_daemon
chmod 755 "$work"
mkdir "$work/spool" && chown 61999:61999 "$work/spool"
{ cat /etc/passwd && echo 'Debian-exim:x:61999:61999::/nonexistent:/usr/sbin/nologin'; } >"$work/passwd"
{ cat /etc/group && echo 'Debian-exim:x:61999:'; } >"$work/group"
cat >"$work/exim.conf" <<CONF
exim_path = $exim
spool_directory = $work/spool
log_file_path = $work/spool/%slog
log_selector = +pipelining
primary_hostname = exim.example.com
keep_environment =
begin routers
bounces:
  driver = redirect
  domains = !help.example.com
  data = :blackhole:
all:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = vestibule
begin transports
vestibule:
  driver = smtp
  port = ${smtp##*:}
  allow_localhost
  hosts_require_tls = *
  tls_verify_hosts = *
  tls_verify_certificates = $work/site/certificate.pem
  tls_verify_cert_hostnames = :
begin retry
* * F,1h,1m
CONF
exim() {
    # shellcheck disable=SC2016  # for the shell within
    unshare -m sh -c 'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && shift && exec "$@"' \
        exim "$work" "$exim" -C "$work/exim.conf" "$@" 2>>"$work/exim.err"
}
# submit FILE RCPT...: into its queue; sets id.
submit() {
    local file=$1
    shift
    exim -odq -i -f grace@partner.example "$@" <"$file" || return
    id=$(sed -nE 's/^[^ ]+ [^ ]+ ([^ ]+) <= .*/\1/p' "$work/spool/mainlog" | tail -n 1)
}
in_mainlog() { grep -qE -- "$1" "$work/spool/mainlog" || { cat "$work/spool/mainlog" "$work/exim.err"; return 1; }; }
# As Exim has it in its queue, on the wire.
queued() { exim -Mvc "$id" | wire; }

eight_bits >"$work/mail"
check 'Exim takes 8-bit text for two projects' submit "$work/mail" it@help.example.com hr@help.example.com
queued >"$work/wire"
exim -M "$id"
check 'and hands it on with BDAT (K), pipelined (L), by TLS with a certificate that it knows' \
    in_mainlog "$id => it@help.example.com .*CV=yes .*L.* K C=\"250 2\.0\.0 [0-9a-f-]+ accepted\""
check 'to the other project too' in_mainlog "$id [-=]> hr@help.example.com .*C=\"250 2\.0\.0"
check 'decided once for each' [ "$(decisions_made)" -eq 2 ]
check 'it is stored byte for byte' arrived 'eight bits' "$work/wire" IT
check 'in both' arrived 'eight bits' "$work/wire" HR

twenty_megabytes >"$work/mail"
check 'Exim takes 20 MB' submit "$work/mail" it@help.example.com
queued >"$work/wire"
exim -M "$id"
check 'and hands them on with BDAT' in_mainlog "$id => it@help.example.com .* K C=\"250 2\.0\.0"
check 'byte for byte' arrived 'twenty megabytes' "$work/wire"

header nobody 'to nobody' >"$work/mail"
check 'Exim takes a mail to nobody' submit "$work/mail" nobody@help.example.com
exim -M "$id"
check 'which comes back: 550 5.1.1' in_mainlog "$id \*\* nobody@help.example.com .* 550 5\.1\.1"

check 'the daemon stops' stop_daemon
header later 'later' >"$work/mail"
check 'Exim takes a mail while vestibule is down' submit "$work/mail" it@help.example.com
exim -M "$id"
check 'and keeps it' in_mainlog "$id == it@help.example.com .*Connection refused"
run_daemon
sed -i "s/^  port = .*/  port = ${smtp##*:}/" "$work/exim.conf"
exim -M "$id"
check 'until vestibule is up again' in_mainlog "$id => it@help.example.com .* C=\"250 2\.0\.0"

finish
