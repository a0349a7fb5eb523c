#!/usr/bin/env bash
# Prometheus's own tool reads what we ship and what we say: the alert rules and their tests, and /metrics of the built binary.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
need promtool
need curl

check 'alert rules' promtool check rules deploy/prometheus/alerts.yml
check 'tests of the alert rules' promtool test rules deploy/prometheus/alerts.test.yml

start_daemon
# One held, one dropped, one refused: counters with labels are there only once they count.
for who in ada@example.com eve@stranger.example; do
    printf 'From: <%s>\r\nTo: <it@help.example.com>\r\nSubject: x\r\nMessage-ID: <%s>\r\n\r\nx\r\n' "$who" "$who" >"$work/$who.eml"
done
printf 'From: <a@b.example>\r\nTo: <nobody@help.example.com>\r\n\r\nx\r\n' >"$work/refused.eml"
"$vestibule" replay --to "$smtp" "$work"/*@*.eml >/dev/null
"$vestibule" replay --to "$smtp" --rcpt nobody@help.example.com "$work/refused.eml" >/dev/null
check '/metrics is read' curl -fsS -H 'Accept: text/plain' -o "$work/metrics" "http://$http/metrics"
check 'the scrape has what was counted' grep -q 'vestibule_mails_decided_total{outcome="hold",reason="internal-account-unverified"} 1' "$work/metrics"
check 'names, types and help of /metrics' promtool check metrics <"$work/metrics"

finish
