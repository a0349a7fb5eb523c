#!/usr/bin/env bash
# `vestibule addresses` in a Postfix of its own: its tables refuse at Postfix's door what vestibule would refuse, and lead the
# rest to it, also after an inbox was added; without them Postfix can ask. XFORWARD tells vestibule for whom Postfix speaks.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
# shellcheck source=tests/peers/postfix-lib
. "$(dirname "$0")/postfix-lib"
need swaks
need postmap

used() {
    local title
    while read -r title; do
        grep -qF -e "from_page $title" -e "from_page '$title'" tests/peers/*.sh tests/peers/postfix-lib || { echo "not used: $title"; return 1; }
    done < <(grep -E '^# /(etc|usr)/' "$page" | cut -c 3-)
}
check 'every block of the page is used by a suite' used
titled() { [ $(($(grep -c '^```' "$page") / 2)) -eq "$(grep -cE '^# /(etc|usr)/' "$page")" ]; }
check 'and has a title by which it is found' titled

smtp_section="$smtp_section
postmaster = \"ops@partner.example\""
mail_section="$mail_section
bounce_domain = \"bounce.example.com\""
write_site
config=$work/site/vestibule.toml
sed -i 's/"it@help.example.com"\]/"it@help.example.com", "*@wild.example.com"]/' "$config"
start_postfix ''
run_daemon

finds() { [ "$(postmap -q "$1" "hash:$postfix_dir/etc/vestibule-$2")" = "$3" ]; }
check 'an inbox' finds it@help.example.com recipients OK
check 'the postmaster' finds postmaster@help.example.com recipients OK
check 'every address of a domain' finds @wild.example.com recipients OK
check 'bounces' finds @bounce.example.com recipients OK
check 'nobody else' finds nobody@help.example.com recipients ''
check 'the way' finds wild.example.com transport "smtp:[${smtp%:*}]:${smtp##*:}"
check 'the domain of bounces' finds bounce.example.com domains OK

# to ADDRESS [swaks options]: a mail from a client whom Postfix does not know.
to() {
    local to=$1
    shift
    swaks --server "127.0.0.1:$relay_port" --local-interface 127.0.0.5 --helo client.example --from grace@partner.example \
        --to "$to" --header "Message-ID: <$to.$RANDOM>" --body Hello "$@" >"$work/swaks" 2>&1
}
refused() { ! to "$1" --quit-after RCPT && grep -q '^<\*\* 550 5.1.1' "$work/swaks"; }
check 'an inbox is taken' to it@help.example.com
check 'with a detail too' to it+printer@help.example.com
check 'any address of the domain' to whatever@wild.example.com
check 'an unknown address is refused by Postfix itself' refused new@help.example.com
check 'three mails are decided' within 30 have_decided 3
check 'the client that Postfix spoke for is the peer' logged '"event":"mail.decided".*"peer":"127.0.0.5"'

# Kept up to date: neither Postfix nor the daemon is started anew.
sed -i 's/"hr@help.example.com"\]/"hr@help.example.com", "new@help.example.com"]/' "$config"
kill -HUP "$daemon"
check 'a new inbox is in force' within 10 logged '"event":"config.loaded".*new@help.example.com'
check 'the tables are made anew' make_tables
check 'Postfix takes mail for it' within 60 to new@help.example.com
check 'and hands it on' within 30 logged '"event":"mail.decided".*"project":"HR"'
cp "$config" "$work/good.toml"
echo 'mistake' >>"$config"
untouched() { ! make_tables 2>"$work/said" && grep -q 'mistake' "$work/said" && finds new@help.example.com recipients OK; }
check 'a configuration with a mistake leaves the tables as they are' untouched
cp "$work/good.toml" "$config"

# Postfix asks instead.
further "$(from_page '/etc/postfix/main.cf (recipients asked for)')"
check 'Postfix asks for an unknown address, and refuses it' within 60 refused nobody@help.example.com
check 'in the words of vestibule' grep -q 'undeliverable address: host 127.0.0.1.* said: 550 5.1.1' "$work/swaks"
check 'one that vestibule takes is taken' within 60 to hr@help.example.com
check 'nothing is left in the queue' within 30 drained
check 'five mails came of all that' [ "$(decisions_made)" -eq 5 ]
check 'the daemon stops' stop_daemon
later() { ! to other@help.example.com --quit-after RCPT && grep -q '^<\*\* 450 4.1.1' "$work/swaks"; }
check 'while vestibule is down, an address that Postfix does not know yet may come again' within 60 later

finish
