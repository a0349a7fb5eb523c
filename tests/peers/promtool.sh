#!/usr/bin/env bash
# Prometheus's own tool reads what we ship and what we say: the alert rules and their tests, and /metrics of the built binary.
set -u
cd "$(dirname "$0")/../.." || exit 2
binary=${VESTIBULE:-target/release/vestibule}
command -v promtool >/dev/null || { echo "promtool is missing (Debian: prometheus)"; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/vestibule-promtool.XXXXXX") || exit 1
pid=
trap '[ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid"; rm -rf "$work"' EXIT
failed=0

# check NAME COMMAND...
check() {
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        echo "1 passed: $name"
    else
        cat "$work/out"
        echo "1 failed: $name"
        failed=1
    fi
}

check 'alert rules' promtool check rules deploy/prometheus/alerts.yml
check 'tests of the alert rules' promtool test rules deploy/prometheus/alerts.test.yml

cat >"$work/vestibule.toml" <<EOF
hostname = "help.example.com"
[smtp]
listen = ["127.0.0.1:0"]
[http]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:8025"
[store]
path = "data"
min_free = 0
[mail]
relay = "file:outbound"
from = "help@help.example.com"
[authentication]
mode = "off"
[access.internal]
use_approved_domains = true
approved_domains = ["approved.example"]
[[projects]]
key = "IT"
name = "IT support"
addresses = ["it@help.example.com"]
access = "anyone"
EOF
"$binary" serve --config "$work/vestibule.toml" >"$work/log" 2>"$work/errors" &
pid=$!
for _ in $(seq 100); do
    grep -q '"event":"daemon.started"' "$work/log" && break
    sleep 0.1
done
address() { sed -n "s/.*\"event\":\"daemon.started\".*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/log" | head -n 1; }
smtp=$(address smtp) http=$(address http)
if [ -z "$smtp" ] || [ -z "$http" ]; then
    cat "$work/log" "$work/errors"
    echo "1 failed: the daemon does not start"
    exit 1
fi

# One held, one dropped, one refused: counters with labels are there only once they count.
for who in ada@approved.example eve@elsewhere.example; do
    printf 'From: <%s>\r\nTo: <it@help.example.com>\r\nSubject: x\r\nMessage-ID: <%s>\r\n\r\nx\r\n' "$who" "$who" >"$work/$who.eml"
done
printf 'From: <a@b.example>\r\nTo: <nobody@help.example.com>\r\n\r\nx\r\n' >"$work/refused.eml"
"$binary" replay --to "$smtp" "$work"/*@*.eml >/dev/null
"$binary" replay --to "$smtp" --rcpt nobody@help.example.com "$work/refused.eml" >/dev/null
curl -fsS -H 'Accept: text/plain' "http://$http/metrics" >"$work/metrics" || failed=1
check 'the scrape has what was counted' grep -q 'vestibule_mails_decided_total{outcome="hold",reason="internal-account-unverified"} 1' "$work/metrics"
check 'names, types and help of /metrics' promtool check metrics <"$work/metrics"
exit "$failed"
