#!/usr/bin/env bash
# A Postfix of its own on loopback relays to the built daemon as deploy/postfix.md says: what vestibule takes is gone from
# the queue, what it refuses comes back as a bounce.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
# shellcheck source=tests/peers/postfix-lib
. "$(dirname "$0")/postfix-lib"
start_daemon

start_postfix
peer_cleanup() {
    stop_postfix
}

# Our own client relays to Postfix, which relays to vestibule.
mail() {
    printf 'From: %s\nTo: %s\nSubject: %s\nMessage-ID: <%s@postfix.example>\n\nHello.\n.\n' "$1" "$2" "$3" "${3// /.}" \
        >"$work/mail.eml"
    "$vestibule" replay --to "127.0.0.1:$relay_port" "$work/mail.eml" >"$work/replay" || { cat "$work/replay"; return 1; }
}

check 'Postfix takes a mail of a partner' mail grace@partner.example it@help.example.com 'by way of postfix'
check 'and hands it on: 250, sent' within 30 in_maillog 'to=<it@help.example.com>.*dsn=2\.0\.0, status=sent \(250 2\.0\.0'
check 'vestibule has created a request' within 10 logged '"reason":"new-portal-only-customer".*"sender":"grace@partner.example"'
ask requests list --customer grace@partner.example >"$work/requests"
check 'which can be listed' grep -q 'by way of postfix' "$work/requests"

check 'Postfix takes a mail of a stranger' mail someone@sender.example it@help.example.com 'a stranger by postfix'
# The queue id of the mail from this envelope sender leads to the line about its delivery.
sent_from() {
    local id
    id=$(sed -nE "s/.*qmgr\[[0-9]+\]: ([0-9A-F]+): from=<$1>.*/\1/p" "$postfix_dir/maillog" | tail -n 1)
    [ -n "$id" ] && in_maillog " $id: to=<it@help.example.com>.*status=sent \(250 2\.0\.0"
}
check 'a drop is 250 for the relay too' within 30 sent_from someone@sender.example
check 'and logged with its reason' within 10 logged '"reason":"domain-not-allowed".*"sender":"someone@sender.example"'

check 'Postfix takes a mail to an unknown address' mail grace@partner.example nobody@help.example.com 'nobody there'
check 'vestibule refuses it with 550 5.1.1' within 30 in_maillog 'to=<nobody@help.example.com>.*dsn=5\.1\.1, status=bounced'
check 'and the sender gets a bounce' within 30 grep -q 'nobody@help.example.com' "$postfix_dir/box/all"

check 'nothing is left in the queue' within 30 queue_empty

finish
