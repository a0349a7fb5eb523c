#!/usr/bin/env bash
# msmtp speaks to the built daemon: what it is told is its exit code, and what it sends is stored byte for byte.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
need msmtp
smtp_section=${smtp_section/64 KiB/36 MiB}
start_daemon

# send FROM RCPT [msmtp options] <mail: the whole dialogue into $work/dialogue; msmtp's exit code.
send() {
    local from=$1 to=$2
    shift 2
    msmtp --host="${smtp%:*}" --port="${smtp##*:}" --domain=relay.example --timeout=60 --debug --from="$from" "$@" -- "$to" \
        >"$work/dialogue" 2>&1
}
replied() { grep -qE -- "^<-- $1" "$work/dialogue" || { cat "$work/dialogue"; return 1; }; }
# mail FROM SUBJECT
mail() {
    header "${2// /.}" "$2" "$1"
    printf 'Hello,\n.\n..\n.dot\n'
}

mail grace@partner.example 'by msmtp' >"$work/mail"
send grace@partner.example it@help.example.com <"$work/mail"
check 'a partner is taken with exit code 0' test $? -eq 0
check 'by 250 2.0.0' replied '250 2\.0\.0'
check 'her mail is a request' logged '"outcome":"create","reason":"new-portal-only-customer".*"sender":"grace@partner.example"'
wire <"$work/mail" >"$work/wire"
check 'byte for byte, dots too' arrived 'by msmtp' "$work/wire"

mail mallory@stranger.example 'from a stranger' | send mallory@stranger.example it@help.example.com
check 'a stranger is taken with exit code 0 too' test $? -eq 0
check 'and dropped' logged '"outcome":"drop","reason":"domain-not-allowed"'

mail grace@partner.example 'to nobody' | send grace@partner.example nobody@help.example.com
check 'a refused recipient is EX_DATAERR (65)' test $? -eq 65
check 'with the reply 550 5.1.1' replied '550 5\.1\.1'

# TLS: the certificate must be of the one asked for, and of somebody trusted.
tls() { send grace@partner.example it@help.example.com --tls=on --tls-starttls=on --tls-host-override="$1" --tls-trust-file="$2" <"$work/mail"; }
mail grace@partner.example 'within tls' >"$work/mail"
check 'a mail within TLS, its certificate verified' tls help.example.com "$work/site/certificate.pem"
check 'is taken' replied '250 2\.0\.0'
check 'a certificate of another name is refused' eval '! tls other.example.com "$work/site/certificate.pem"'
mkdir "$work/stranger"
new_certificate stranger "$work/stranger"
check 'so is one that nobody trusted has signed' eval '! tls help.example.com "$work/stranger/certificate.pem"'
check 'and nothing was sent' eval '! grep -q "MAIL FROM" "$work/dialogue"'

eight_bits >"$work/mail"
check '8-bit text is taken' send grace@partner.example it@help.example.com <"$work/mail"
wire <"$work/mail" >"$work/wire"
check 'and stored byte for byte' arrived 'eight bits' "$work/wire"

twenty_megabytes >"$work/mail"
check '20 MB are taken' send grace@partner.example it@help.example.com <"$work/mail"
wire <"$work/mail" >"$work/wire"
check 'and stored byte for byte' arrived 'twenty megabytes' "$work/wire"
cat "$work/mail" "$work/mail" >"$work/large"
send grace@partner.example it@help.example.com <"$work/large"
check '40 MB are refused' replied '552 5\.3\.4'

finish
