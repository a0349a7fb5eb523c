#!/usr/bin/env bash
# `vestibule addresses` in a Postfix of its own: its tables refuse at Postfix's door what vestibule would refuse, and lead the
# rest to it; XFORWARD tells vestibule for whom Postfix speaks.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
# shellcheck source=tests/peers/postfix-lib
. "$(dirname "$0")/postfix-lib"
need swaks
need postmap
start_daemon
# The table leads to the port of the configuration, and nothing listens on a free port twice: the one that was found.
config=$work/site/vestibule.toml
sed -i -e "s/^listen = \[\"127.0.0.1:0\"\]/listen = [\"$smtp\"]\nxclient_from = [\"127.0.0.1\"]\npostmaster = \"ops@partner.example\"/" \
    -e 's/"it@help.example.com"\]/"it@help.example.com", "*@wild.example.com"]/' -e 's/^from = /bounce_domain = "bounce.example.com"\n&/' "$config"
kill -HUP "$daemon"
check 'the configuration is taken' within 10 grep -q '"event":"config.loaded".*wild.example.com' "$work/log"

# The machine need not have a Postfix that is set up.
mkdir "$work/empty" && echo 'compatibility_level = 3.6' >"$work/empty/main.cf"
table() {
    "$vestibule" addresses --config "$config" --format "$1" >"$work/$2" && postmap -c "$work/empty" "hash:$work/$2"
}
check 'postmap takes the recipients' table postfix recipients
check 'postmap takes the transport' table postfix-transport transport
check 'postmap takes the domains' table postfix-domains domains
finds() { [ "$(postmap -c "$work/empty" -q "$1" "hash:$work/$2")" = "$3" ]; }
check 'an inbox' finds it@help.example.com recipients OK
check 'the postmaster' finds postmaster@help.example.com recipients OK
check 'every address of a domain' finds @wild.example.com recipients OK
check 'bounces' finds @bounce.example.com recipients OK
check 'nobody else' finds nobody@help.example.com recipients ''
check 'the way' finds wild.example.com transport "smtp:[${smtp%:*}]:${smtp##*:}"
check 'the domain of bounces' finds bounce.example.com domains OK
chmod 755 "$work"
chmod 644 "$work"/{recipients,transport,domains}.db

# Later lines of main.cf count.
start_postfix "relay_domains = hash:$work/domains
relay_recipient_maps = hash:$work/recipients
transport_maps = hash:$work/transport
recipient_delimiter = +
smtp_send_xforward_command = yes"
peer_cleanup() {
    stop_postfix
}
to() {
    swaks --server "127.0.0.1:$relay_port" --local-interface 127.0.0.5 --helo client.example --from grace@partner.example \
        --to "$1" --header "Message-ID: <$1>" --body Hello >"$work/swaks" 2>&1
}
check 'an inbox is taken' to it@help.example.com
check 'with a detail too' to it+printer@help.example.com
check 'any address of the domain' to whatever@wild.example.com
refused() { ! to "$1" && grep -q '^<\*\* 550 5.1.1' "$work/swaks"; }
check 'an unknown address is refused by Postfix itself' refused nobody@help.example.com
check 'three mails are decided' within 30 eval '[ "$(grep -c "\"event\":\"mail.decided\"" "$work/log")" -eq 3 ]'
check 'the client that Postfix spoke for is the peer' logged '"event":"mail.decided".*"peer":"127.0.0.5"'
check 'nothing is left in the queue' within 30 queue_empty

finish
