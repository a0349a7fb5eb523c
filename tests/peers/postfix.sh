#!/usr/bin/env bash
# A Postfix of its own on loopback relays to the built daemon as deploy/postfix.md says: what vestibule takes is gone from
# the queue, what it refuses comes back as a bounce.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
PATH=$PATH:/usr/sbin
need postfix
[ "$(id -u)" -eq 0 ] || { echo "postfix wants to be started as root"; exit 1; }
start_daemon

# A port that nobody listens on at this moment.
free_port() {
    local port
    for port in $(shuf -i 20000-40000 -n 50); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

relay_port=$(free_port)
postfix_dir=$work/postfix
mkdir -p "$postfix_dir/etc" "$postfix_dir/spool" "$postfix_dir/lib"
chmod 755 "$work" "$postfix_dir" "$postfix_dir/etc" "$postfix_dir/spool"
chown postfix "$postfix_dir/lib"

cat >"$postfix_dir/etc/main.cf" <<CF
compatibility_level = 3.6
queue_directory = $postfix_dir/spool
data_directory = $postfix_dir/lib
maillog_file = $postfix_dir/maillog
maillog_file_prefixes = $work
myhostname = mx.example.com
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
local_recipient_maps =
relay_domains = help.example.com
transport_maps = inline:{ { help.example.com = smtp:[${smtp%:*}]:${smtp##*:} } }
smtp_tls_security_level = none
bounce_notice_recipient = postmaster@mx.example.com
# Bounces are caught in a file of their own, so that they can be looked at.
virtual_mailbox_domains = sender.example partner.example
virtual_mailbox_maps = static:box/all
virtual_mailbox_base = $postfix_dir
virtual_uid_maps = static:$(id -u nobody)
virtual_gid_maps = static:$(id -g nobody)
virtual_mailbox_lock = dotlock
virtual_transport = virtual
CF
install -d -o nobody -g "$(id -gn nobody)" "$postfix_dir/box"
cat >"$postfix_dir/etc/master.cf" <<CF
127.0.0.1:$relay_port inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
virtual   unix  - n n - - virtual
proxymap  unix  - - n - - proxymap
showq     unix  n - n - - showq
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
CF

peer_cleanup() {
    postfix -c "$postfix_dir/etc" stop >/dev/null 2>&1
}

postfix -c "$postfix_dir/etc" start >"$work/postfix.out" 2>&1 || { cat "$work/postfix.out"; exit 1; }
within 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$relay_port" 2>/dev/null || { cat "$work/postfix.out" "$postfix_dir/maillog"; exit 1; }

# Our own client relays to Postfix, which relays to vestibule.
mail() {
    printf 'From: %s\nTo: %s\nSubject: %s\nMessage-ID: <%s@postfix.example>\n\nHello.\n.\n' "$1" "$2" "$3" "${3// /.}" \
        >"$work/mail.eml"
    "$vestibule" replay --to "127.0.0.1:$relay_port" "$work/mail.eml" >"$work/replay" || { cat "$work/replay"; return 1; }
}

in_maillog() {
    grep -qE -- "$1" "$postfix_dir/maillog"
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

queue_empty() { postqueue -c "$postfix_dir/etc" -p | grep -q 'empty'; }
check 'nothing is left in the queue' within 30 queue_empty

finish
