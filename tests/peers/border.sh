#!/usr/bin/env bash
# Postfix with rspamd is the border: it sees the client, checks SPF, DKIM, DMARC and ARC against a DNS of this suite, and writes
# Authentication-Results. The built daemon behind it believes that, and nothing that a sender writes.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
# shellcheck source=tests/peers/postfix-lib
. "$(dirname "$0")/postfix-lib"
# shellcheck source=tests/peers/border-lib
. "$(dirname "$0")/border-lib"
need rspamd

authentication='mode = "relay"
results_from = ["127.0.0.1"]
authserv_ids = ["mx.example.com"]
# rspamd writes its field below the Received field of Postfix; header_checks below make that safe.
results_below_received = true
trusted_arc_sealers = ["lists.example"]'
start_daemon

# Only the checks that this is about; the rest of rspamd would ask the world.
milter_port=$(free_port)
mkdir -p "$work/rspamd"
printf 'com\nexample\n' >"$work/rspamd/suffixes"
cat >"$work/rspamd/conf" <<CF
options {
    dns { nameserver = ["127.0.0.1:$dns_port"]; timeout = 2s; retransmits = 3; }
    pidfile = "$work/rspamd/pid";
    url_tld = "$work/rspamd/suffixes";
    filters = "dkim";
    local_addrs = [];
}
logging { type = "file"; filename = "$work/rspamd/log"; level = "notice"; }
worker "rspamd_proxy" {
    bind_socket = "127.0.0.1:$milter_port";
    count = 1;
    milter = yes;
    timeout = 20s;
    upstream "local" { default = yes; self_scan = yes; }
}
modules {
    path = "/usr/share/rspamd/plugins/spf.lua";
    path = "/usr/share/rspamd/plugins/dmarc.lua";
    path = "/usr/share/rspamd/plugins/arc.lua";
    path = "/usr/share/rspamd/plugins/milter_headers.lua";
}
dkim {}
spf {}
dmarc {}
arc {}
milter_headers {
    use = ["authentication-results"];
    skip_local = false;
    skip_authenticated = false;
    # A policy of none is no word against the sender: no result, instead of fail with the policy in a comment.
    routines { authentication-results { dmarc_symbols { softfail = "NOT_TOLD"; } } }
}
metric { name = "default"; actions { reject = 1000; } }
CF
chmod 755 "$work"
chown -R _rspamd "$work/rspamd"
rspamd -f -u _rspamd -g _rspamd -c "$work/rspamd/conf" >"$work/rspamd.out" 2>&1 &
cleanups+=("stop $!")
within 30 open "$milter_port" || { tail -n 40 "$work/rspamd.out" "$work/rspamd/log"; exit 1; }
# What a sender wrote in the border's name must not reach the daemon (RFC 8601 section 5).
echo '/^Authentication-Results:/ IGNORE' >"$work/header_checks"
start_postfix "smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_milters = inet:127.0.0.1:$milter_port
milter_default_action = tempfail
header_checks = regexp:$work/header_checks"

mail grace@partner.example 'signed' | sign partner.example >"$work/signed"
judged 'a signed mail of a partner' 203.0.113.9 grace@partner.example new-portal-only-customer proven <"$work/signed"
mail grace@partner.example 'by spf' >"$work/mail"
judged 'an unsigned one from the server of the partner' 203.0.113.2 grace@partner.example known-customer proven <"$work/mail"
mail ada@example.com 'an employee' | sign example.com >"$work/mail"
judged 'a signed mail of an employee' 203.0.113.9 ada@example.com internal-account-unverified proven <"$work/mail"

sed 's/grace@partner.example>/boss@example.com>/' "$work/signed" >"$work/mail"
judged 'the signed mail under the name of an employee' 203.0.113.9 grace@partner.example sender-forged disproven <"$work/mail"
sed 's/grace@partner.example>/eve@partner.example>/' "$work/signed" >"$work/mail"
# rspamd tells the policy (quarantine) in a comment only, so it counts as reject.
judged 'the signed mail under the name of a colleague' 203.0.113.9 grace@partner.example sender-forged disproven <"$work/mail"
mail boss@example.com 'signed by another' | sign evil.example >"$work/mail"
judged 'a mail in the name of an employee that another signed' 203.0.113.9 x@evil.example sender-forged disproven <"$work/mail"
mail eve@evil.example 'signed for itself' | sign evil.example >"$work/mail"
judged 'a signed mail of a stranger without DMARC' 203.0.113.9 eve@evil.example domain-not-allowed proven <"$work/mail"

mail x@lists.example 'unsigned' >"$work/mail"
judged 'an unsigned mail of a domain with a policy of none' 203.0.113.9 x@lists.example domain-not-allowed unproven <"$work/mail"

# What the border says of a mail, in the sender's own words.
forged='Authentication-Results: mx.example.com; dmarc=pass header.from=evil.example; dkim=pass header.d=evil.example'
{ echo "$forged"; mail eve@evil.example 'forged results'; } >"$work/mail"
judged 'a mail that brings results of its own' 203.0.113.9 eve@evil.example domain-not-allowed unproven <"$work/mail"
{ echo 'Received: from a by mx.example.com; x'; printf 'authentication-results:\n (c) "MX.example.com" 1;\n %s\n' "${forged#*; }"; mail eve@evil.example 'forged again'; } >"$work/mail"
judged 'one that has them folded and below a Received field' 203.0.113.9 eve@evil.example domain-not-allowed unproven <"$work/mail"
{ echo 'Authentication-Results: mx.example.com; dmarc=pass header.from=example.com'; mail boss@example.com 'forged for an employee'; } >"$work/mail"
judged 'one in the name of an employee' 203.0.113.9 x@evil.example sender-forged disproven <"$work/mail"

# What a forwarder broke and sealed.
signed 'by a list' | forward lists.example | seal lists.example >"$work/mail"
judged 'a mail that a trusted forwarder sealed' 203.0.113.9 x@lists.example internal-account-unverified proven <"$work/mail"
signed 'by another list' | forward evil.example | seal evil.example >"$work/mail"
judged 'one that another forwarder sealed' 203.0.113.9 x@evil.example sender-forged disproven <"$work/mail"
signed 'by a list that does not seal' | forward lists.example >"$work/mail"
judged 'the changed mail without a seal' 203.0.113.9 x@lists.example sender-forged disproven <"$work/mail"
signed 'under another name' | forward lists.example | seal lists.example | sed 's/lin@example.com>/boss@example.com>/' >"$work/mail"
judged 'the sealed mail under another name' 203.0.113.9 x@lists.example sender-forged disproven <"$work/mail"

check 'nothing is left in the queue of Postfix' within 30 queue_empty
mailed() { grep -c '"event":"verification.sent"' "$work/log"; }
asked() { [ "$(mailed)" -eq 2 ] && logged 'verification.sent","address":"ada@example.com"' && logged 'verification.sent","address":"lin@example.com"'; }
check 'the two employees are asked, and nobody else' within 10 asked
mail_id=$(grep '"event":"mail.decided"' "$work/log" | grep 'internal-account-unverified.*lin@example.com' | sed -E 's/.*"mail_id":"([^"]*)".*/\1/')
ask decisions show "$mail_id" >"$work/shown"
check 'the trail shows who sealed what' grep -q 'lists.example sealed: dmarc=pass header.from=example.com' "$work/shown"
finish
