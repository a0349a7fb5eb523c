#!/usr/bin/env bash
# swaks speaks to the built daemon: replies, log lines and the API have to agree.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
need swaks
start_daemon

# send FROM TO SUBJECT [swaks options]: the whole dialogue into $work/dialogue; swaks' exit code.
send() {
    local from=$1 to=$2 subject=$3
    shift 3
    swaks --server "${smtp%:*}" --port "${smtp##*:}" --helo relay.example --from "$from" --to "$to" \
        --header "Subject: $subject" --add-header "Message-ID: <${subject// /.}@swaks.example>" \
        --body 'Hello from swaks.' --timeout 20 "$@" >"$work/dialogue" 2>&1
}

replied() {
    grep -qE -- "^<[-~*]+ +$1" "$work/dialogue" || { cat "$work/dialogue"; return 1; }
}

send grace@partner.example it@help.example.com 'a partner writes'
check 'a partner is taken with exit code 0' test $? -eq 0
check 'the reply to the mail is 250 2.0.0' replied '250 2\.0\.0'
check 'its log line says create' logged '"event":"mail.decided","outcome":"create","reason":"new-portal-only-customer"'

send ada@example.com it@help.example.com 'an employee writes'
check 'an employee is taken' replied '250 2\.0\.0'
check 'her mail is held' logged '"outcome":"hold","reason":"internal-account-unverified".*"sender":"ada@example.com"'

send mallory@stranger.example it@help.example.com 'a stranger writes'
check 'a stranger is answered 250 as all others' replied '250 2\.0\.0'
check 'and dropped' logged '"outcome":"drop","reason":"domain-not-allowed"'

send grace@partner.example nobody@help.example.com 'no such project'
check 'an unknown address: swaks says that no recipient was left (24)' test $? -eq 24
check 'an unknown address is 550 5.1.1' replied '550 5\.1\.1'
check 'and logged as refused' logged '"event":"smtp.refused".*"code":550'

send grace@partner.example it@help.example.com 'within tls' --tls
check 'a mail within TLS is taken' replied '250 2\.0\.0'
check 'after EHLO anew' grep -q '^ ~> EHLO' "$work/dialogue"
cp "$work/site/certificate.pem" "$work/known.pem"
cp "$work/site/key.pem" "$work/known.key"
send grace@partner.example it@help.example.com 'verified' --tls --tls-verify --tls-ca-path "$work/known.pem"
check 'and with its certificate verified' replied '250 2\.0\.0'

new_certificate renewed.example.com
kill -HUP "$daemon"
renewed() {
    send grace@partner.example it@help.example.com 'renewed' --tls && grep -q 'CN=renewed.example.com' "$work/dialogue"
}
check 'SIGHUP takes a renewed certificate' within 10 renewed
echo 'no certificate' >"$work/site/certificate.pem"
kill -HUP "$daemon"
check 'a bad certificate is refused' within 10 logged '"event":"config.refused".*smtp.tls.certificate'
check 'and the old one stays' renewed
send grace@partner.example it@help.example.com 'not verified' --tls --tls-verify --tls-ca-path "$work/known.pem"
check 'one who verifies it by the old one sends nothing (29)' test $? -eq 29

send grace@partner.example it@help.example.com 'pipelined' --pipeline
check 'a pipelined mail is taken' replied '250 2\.0\.0'
in_one_go() { tr '\n' '|' <"$work/dialogue" | grep -qE '\| -> MAIL FROM:[^|]*\| -> RCPT TO:[^|]*\| -> DATA\|'; }
check 'its envelope and DATA in one go' in_one_go
send grace@partner.example nobody@help.example.com 'pipelined to nobody' --pipeline
check 'and to nobody: 550, and DATA is refused too' replied '(503|554) 5\.5\.1'

# exactly FILE: sends it; swaks ends the last line itself.
exactly() {
    head -c -2 "$1" >"$work/data"
    swaks --server "${smtp%:*}" --port "${smtp##*:}" --helo relay.example --from grace@partner.example --to it@help.example.com \
        --timeout 60 --suppress-data --data "@$work/data" >"$work/dialogue" 2>&1
}
eight_bits | wire >"$work/eight"
check '8-bit text is taken' exactly "$work/eight"
check 'and stored byte for byte' arrived 'eight bits' "$work/eight"

head -c 100000 /dev/zero | tr '\0' 'x' | fold -w 70 >"$work/large"
send grace@partner.example it@help.example.com 'too large' --body "@$work/large"
check 'a mail over max_message_size is 552 5.3.4' replied '552 5\.3\.4'
sed -i 's/"64 KiB"/"36 MiB"/' "$work/site/vestibule.toml"
cp "$work/known.pem" "$work/site/certificate.pem"
cp "$work/known.key" "$work/site/key.pem"
kill -HUP "$daemon"
check 'more is allowed' within 10 logged '"event":"config.loaded".*max_message_size[^,]*:37748736'
twenty_megabytes | wire >"$work/big"
check 'then 20 MB are taken' exactly "$work/big"
check 'and stored byte for byte' arrived 'twenty megabytes' "$work/big"

send '<>' it@help.example.com 'a bounce' --header 'From: grace@partner.example'
check 'a null reverse-path is taken' replied '250 2\.0\.0'
check 'and dropped as automatic' logged '"outcome":"drop","reason":"automatic-message"'

printf 'Hello,\n.\n..\n.dot at the begin\n' >"$work/dots"
send grace@partner.example it@help.example.com 'dots' --body "@$work/dots"
check 'dots at the begin of lines are taken' replied '250 2\.0\.0'
number=$(ask requests list --customer grace@partner.example --limit 1 | awk 'NR == 2 { print $1 }')
ask requests raw "$number" >"$work/raw"
check 'and arrive as they were' grep -qE '^\.\.[[:space:]]*$' "$work/raw"
check 'each of them' grep -qE '^\.dot at the begin' "$work/raw"

ask decisions list --sender mallory@stranger.example >"$work/decisions"
check 'decisions: why the mail did not arrive' grep -q 'domain-not-allowed .* drop' "$work/decisions"
ask held list --sender ada@example.com >"$work/held"
check 'held: what waits' grep -q 'an employee writes' "$work/held"
ask who ada@example.com >"$work/who"
unopened() { grep -q 'not answered yet' "$work/who" && ! grep -q 'page opened' "$work/who"; }
check 'who: verification asked, nothing opened' unopened

held=$(awk 'NR == 2 { print $1 }' "$work/held")
ask held release "$held" >"$work/release"
check 'an administrator releases it' grep -q '^released IT-' "$work/release"

finish
