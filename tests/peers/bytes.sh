#!/usr/bin/env bash
# How Postfix hands mails on, and that vestibule stores each byte for byte as Postfix had it in its queue: 8-bit text, UTF-8 in
# header and envelope, dots and long lines, 20 MB, one mail to two projects. vestibule is started when all are in the queue, so
# that they can be read there.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
# shellcheck source=tests/peers/postfix-lib
. "$(dirname "$0")/postfix-lib"
write_site
start_postfix ''
# The dialogue goes into the log.
postconf -F 'smtp/unix/command=smtp -v'
further ''

eight_bits >"$work/eight.eml"
{
    header utf8 'Grüße aus Köln 🚪' 'Jörg Müller <jörg@partner.example>'
    printf 'Hallo, schöne Grüße!\n'
} >"$work/utf8.eml"
{
    header two 'to two projects'
    printf 'Once for each of you.\n'
} >"$work/two.eml"
twenty_megabytes >"$work/big.eml"
check 'the big mail has more than 20 MB' [ "$(stat -c %s "$work/big.eml")" -gt 20000000 ]

check 'Postfix takes 8-bit text' submit grace@partner.example "$work/eight.eml" it@help.example.com
check 'UTF-8 in header and envelope' submit jörg@partner.example "$work/utf8.eml" it@help.example.com
check 'a mail to two projects' submit grace@partner.example "$work/two.eml" it@help.example.com hr@help.example.com
check 'and 20 MB' submit grace@partner.example "$work/big.eml" it@help.example.com
check 'all wait, as nobody is there' within 60 all_deferred
check 'for the reason that is so' in_maillog 'status=deferred \(connect to 127.0.0.1\[127.0.0.1\].*Connection refused\)'

# As Postfix has it, and so hands it on: with its own Received field.
for name in eight utf8 two big; do
    id=$(queue_id "$name@mail.example")
    postcat -hbq "$id" | wire >"$work/$name.queued"
    check "the queue has $name" grep -q "^Message-ID: <$name@mail.example>" "$work/$name.queued"
done

run_daemon
check 'all are handed on' within 120 drained
check '8-bit text is stored byte for byte' arrived 'eight bits' "$work/eight.queued"
check 'so is UTF-8' arrived 'Grüße aus Köln 🚪' "$work/utf8.queued"
check 'and 20 MB' arrived 'twenty megabytes' "$work/big.queued"
check 'a mail to two projects in the one' arrived 'to two projects' "$work/two.queued" IT
check 'and in the other' arrived 'to two projects' "$work/two.queued" HR
check 'the sender is who From says, in UTF-8' logged '"event":"mail.decided".*"sender":"jörg@partner.example"'

# The commands of Postfix and the replies to them, each in a line, those of one process together: several speak at once.
sed -nE 's/.*smtp\[([0-9]+)\]: ([<>]) 127\.0\.0\.1\[127\.0\.0\.1\]:[0-9]+: /\1 \2 /p' "$postfix_dir/maillog" | sort -s -n -k 1,1 |
    cut -d ' ' -f 2- >"$work/dialogue"
says() { grep -qE "^> $1" "$work/dialogue" || { tail -n 60 "$work/dialogue"; return 1; }; }
check 'Postfix told that it is 8-bit text' says 'MAIL FROM:<grace@partner.example> SIZE=[0-9]+ BODY=8BITMIME$'
check 'and that there is UTF-8 in header and envelope' says 'MAIL FROM:<jörg@partner.example> SIZE=[0-9]+ BODY=8BITMIME SMTPUTF8$'
check 'and for whom it speaks' says 'XFORWARD .*ADDR=127.0.0.1'
# Without PIPELINING a reply would stand between any two of them.
in_one_go() { tr '\n' '|' <"$work/dialogue" | grep -qE "\|> MAIL FROM:[^|]*\|$1> DATA\|< "; }
check 'it sent envelope and DATA in one go' in_one_go '> RCPT TO:<it@help.example.com>\|'
check 'two projects in one envelope, too' in_one_go '(> RCPT TO:<(it|hr)@help.example.com>\|){2}'
id=$(queue_id two@mail.example)
answers() { sed -nE "s/.*smtp\[[0-9]+\]: $id: to=<.*status=sent \((.*)\)\$/\1/p" "$postfix_dir/maillog"; }
check 'answered once: two lines with one answer' [ "$(answers | wc -l),$(answers | sort -u | wc -l)" = 2,1 ]
mail_id=$(answers | head -n 1 | cut -d ' ' -f 3)
check 'and decided for each' [ "$(grep '"event":"mail.decided"' "$work/log" | grep -c "\"mail_id\":\"$mail_id\"")" -eq 2 ]
# Postfix 3.7 offers BDAT to others and uses it for nothing; should that change, deploy/postfix.md is wrong.
check 'vestibule offers CHUNKING' grep -qE '^< 250.CHUNKING' "$work/dialogue"
check 'and Postfix uses DATA all the same' eval '! says BDAT >/dev/null'

finish
