#!/usr/bin/env bash
# Postfix is a border that judges nothing: the built daemon behind it checks SPF, DKIM, DMARC and ARC itself, first by signatures
# alone, then with the client that Postfix tells with XFORWARD.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
# shellcheck source=tests/peers/postfix-lib
. "$(dirname "$0")/postfix-lib"
# shellcheck source=tests/peers/border-lib
. "$(dirname "$0")/border-lib"

authentication="mode = \"verify\"
resolver = \"127.0.0.1:$dns_port\"
trusted_arc_sealers = [\"lists.example\"]"
start_daemon
start_postfix 'smtpd_authorized_xclient_hosts = 127.0.0.1
smtp_send_xforward_command = no
smtp_connection_cache_on_demand = no'

mail grace@partner.example 'signed' | sign partner.example >"$work/signed"
judged 'a signed mail of a partner' 203.0.113.9 grace@partner.example new-portal-only-customer proven <"$work/signed"
mail ada@example.com 'an employee' | sign example.com >"$work/mail"
judged 'a signed mail of an employee' 203.0.113.9 ada@example.com internal-account-unverified proven <"$work/mail"
sed 's/grace@partner.example>/boss@example.com>/' "$work/signed" >"$work/mail"
judged 'the signed mail under the name of an employee' 203.0.113.9 grace@partner.example sender-forged disproven <"$work/mail"
sed 's/grace@partner.example>/eve@partner.example>/' "$work/signed" >"$work/mail"
judged 'the signed mail under the name of a colleague' 203.0.113.9 grace@partner.example sender-unproven unproven <"$work/mail"
sed 's/^Hello/Goodbye/' "$work/signed" >"$work/mail"
judged 'the signed mail with another text' 203.0.113.9 grace@partner.example sender-unproven unproven <"$work/mail"
mail boss@example.com 'signed by another' | sign evil.example >"$work/mail"
judged 'a mail in the name of an employee that another signed' 203.0.113.9 x@evil.example sender-forged disproven <"$work/mail"
mail boss@example.com 'by nobody' >"$work/mail"
judged 'an unsigned mail that SPF might have proven' 203.0.113.1 boss@example.com internal-account-unverified unproven <"$work/mail"
{ echo 'Authentication-Results: mx.example.com; dmarc=pass header.from=evil.example'; mail eve@evil.example 'forged results'; } >"$work/mail"
judged 'one that brings results of its own' 203.0.113.9 eve@evil.example domain-not-allowed unproven <"$work/mail"

signed 'by a list' | forward lists.example | seal lists.example >"$work/mail"
judged 'a mail that a trusted forwarder sealed' 203.0.113.9 x@lists.example internal-account-unverified proven <"$work/mail"
signed 'by another list' | forward evil.example | seal evil.example >"$work/mail"
judged 'one that another forwarder sealed' 203.0.113.9 x@evil.example sender-forged disproven <"$work/mail"
signed 'under another name' | forward lists.example | seal lists.example | sed 's/lin@example.com>/boss@example.com>/' >"$work/mail"
judged 'the sealed mail under another name' 203.0.113.9 x@lists.example sender-forged disproven <"$work/mail"

# From here on Postfix tells its client.
further 'smtp_send_xforward_command = yes'
mail grace@partner.example 'by spf' >"$work/mail"
judged 'an unsigned mail from the server of the partner' 203.0.113.2 grace@partner.example known-customer proven <"$work/mail"
mail grace@partner.example 'from elsewhere' >"$work/mail"
judged 'one from elsewhere' 203.0.113.9 grace@partner.example sender-unproven unproven <"$work/mail"
mail lou@example.com 'by spf' >"$work/mail"
judged 'an unsigned mail from the own server' 203.0.113.1 lou@example.com internal-account-unverified proven <"$work/mail"
mail boss@example.com 'from elsewhere' >"$work/mail"
judged 'one from elsewhere in the name of an employee' 203.0.113.9 boss@example.com sender-forged disproven <"$work/mail"
mail boss@example.com 'in another envelope' >"$work/mail"
judged 'one from a server that may send for its envelope alone' 203.0.113.2 grace@partner.example sender-forged disproven <"$work/mail"

check 'nothing is left in the queue of Postfix' within 30 queue_empty
mailed() { [ "$(grep '"event":"verification.sent"' "$work/log" | sed -E 's/.*"address":"([^"]*)".*/\1/' | sort | tr '\n' ' ')" = 'ada@example.com lin@example.com lou@example.com ' ]; }
check 'the three employees are asked, and nobody else' within 10 mailed
ask requests list --json >"$work/requests"
check 'the two proven mails of the partner are requests' [ "$(grep -o '"id": *"IT-[0-9]*"' "$work/requests" | sort -u | wc -l)" -eq 2 ]
finish
