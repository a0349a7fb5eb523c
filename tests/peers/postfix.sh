#!/usr/bin/env bash
# A Postfix of its own on loopback relays to the built daemon as deploy/postfix.md says: what vestibule takes is gone from
# the queue, what it refuses comes back as a bounce, and its own mails leave by the same Postfix.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
# shellcheck source=tests/peers/postfix-lib
. "$(dirname "$0")/postfix-lib"
mail_section=$(from_page /etc/vestibule/vestibule.toml | section mail)
write_site
# One employee's mailbox is gone, which Postfix finds out after it has taken the mail.
start_postfix 'virtual_alias_maps = inline:{ { gone@example.com = gone@elsewhere.example } }'
run_daemon
box=$postfix_dir/box/all

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
id=$(sed -nE 's/.*to=<it@help.example.com>.*status=sent \(250 2\.0\.0 ([^ ]+) accepted\)$/\1/p' "$postfix_dir/maillog")
ask decisions show "$id" >"$work/shown"
check "the id in Postfix's log leads to the decision" grep -q 'by.way.of.postfix@postfix.example' "$work/shown"

check 'Postfix takes a mail of a stranger' mail someone@sender.example it@help.example.com 'a stranger by postfix'
# The queue id of the mail from this envelope sender leads to the line about its delivery.
sent_from() {
    local id
    id=$(sed -nE "s/.*qmgr\[[0-9]+\]: ([0-9A-F]+): from=<$1>.*/\1/p" "$postfix_dir/maillog" | tail -n 1)
    [ -n "$id" ] && in_maillog " $id: to=<it@help.example.com>.*status=sent \(250 2\.0\.0"
}
check 'a drop is 250 for the relay too' within 30 sent_from someone@sender.example
check 'and logged with its reason' within 10 logged '"reason":"domain-not-allowed".*"sender":"someone@sender.example"'

# The verification mail to an employee, and what it leads to.
printf 'From: Renée <renée@example.com>\nTo: it@help.example.com\nSubject: à propos\nMessage-ID: <renee@example.com>\n\nBonjour.\n' >"$work/renee.eml"
check 'Postfix takes a mail of an employee' mail ada@example.com it@help.example.com 'an employee by postfix'
check 'and of one with an accent in her address' submit renée@example.com "$work/renee.eml" it@help.example.com
verified() { grep -A20 "^Delivered-To: $1" "$box" | grep -q '^X-Vestibule-Mail: verification'; }
check 'she is asked by way of the same Postfix' within 60 verified ada@example.com
check 'the other one too' within 60 verified renée@example.com
check 'with an envelope sender in our bounce domain' in_maillog 'qmgr.* from=<[^>]+@bounce\.help\.example\.com>'
check 'Postfix takes a mail of one whose mailbox is gone' mail gone@example.com it@help.example.com 'the mailbox is gone'
check 'Postfix bounces the verification mail, to vestibule' within 60 logged '"event":"bounce.received".*"result":"failed"'
came_back() { ask who gone@example.com >"$work/who" && grep -q 'mail came back: .*nobody there' "$work/who"; }
check 'and who shows it with the words of Postfix' within 10 came_back

# Without its table Postfix learns only from vestibule that nobody is there.
further 'relay_recipient_maps ='
unknown() { mail grace@partner.example nobody@help.example.com 'nobody there'; }
check 'Postfix takes a mail to an unknown address' within 30 unknown
check 'vestibule refuses it with 550 5.1.1' within 30 in_maillog 'to=<nobody@help.example.com>.*dsn=5\.1\.1, status=bounced'
check 'and the sender gets a bounce' within 30 grep -q 'nobody@help.example.com' "$box"
check 'nothing is left in the queue' within 30 drained

# vestibule on another machine: a daemon with the other settings, and Postfix that asks for its certificate.
check 'the daemon stops' stop_daemon
cp "$work/site/certificate.pem" "$postfix_dir/etc/vestibule-ca.pem"
smtp_section=$(from_page '/etc/vestibule/vestibule.toml (another machine)' | section smtp)
write_site
run_daemon
check 'Postfix takes a mail for it' mail grace@partner.example it@help.example.com 'in the clear'
check 'but vestibule takes none in the clear: a bounce' within 30 in_maillog 'dsn=5\.7\.0, status=bounced \(host .* 530 5\.7\.0'
further "$(from_page '/etc/postfix/main.cf (another machine)')
smtp_tls_loglevel = 1"
requested() { ask requests list --customer grace@partner.example | grep -q "$1"; }
check 'Postfix takes another' mail grace@partner.example it@help.example.com 'encrypted'
check 'and hands it on, encrypted' within 60 requested 'encrypted'
check 'to the server whose certificate it knows' in_maillog 'Verified TLS connection established to 127.0.0.1'
check 'the one in the clear never came' eval '! requested "in the clear"'
new_certificate other.example.com
cp "$work/site/certificate.pem" "$postfix_dir/etc/vestibule-ca.pem"
kill -HUP "$daemon"
check 'the daemon has a certificate of another name' within 10 eval '[ "$(grep -c "\"event\":\"config.loaded\"" "$work/log")" -ge 3 ]'
further ''
check 'Postfix takes a mail' mail grace@partner.example it@help.example.com 'to somebody else'
check 'and hands it to nobody of another name' within 30 in_maillog 'status=deferred \(Server certificate not verified|status=deferred.*not verified'

finish
