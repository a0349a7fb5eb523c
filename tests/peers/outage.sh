#!/usr/bin/env bash
# Postfix keeps what vestibule can't take now, and hands it on later: vestibule is down, killed under load, its answer is lost on
# the way, its disk is full, and 2,000 mails wait after an outage. In the end each mail is one request: none is lost, none is
# there twice.
# shellcheck source=tests/peers/lib
. "$(dirname "$0")/lib"
# shellcheck source=tests/peers/postfix-lib
. "$(dirname "$0")/postfix-lib"
need smtp-source

# The store is on a small disk of its own, if there can be one.
mkdir "$work/disk"
small_disk=no
if mount -t tmpfs -o size=240M vestibule-test "$work/disk" 2>"$work/mount.err"; then
    small_disk=yes
    data=$work/disk/data
    cleanups+=("umount -l '$work/disk'")
fi
write_site
# Postfix tries again by itself after seconds, not minutes.
start_postfix 'minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s'
run_daemon

taken=0
# load NUMBER [options]: so many mails to Postfix by its own tool, each with a Message-ID of its own.
load() {
    local number=$1
    shift
    taken=$((taken + number))
    smtp-source -s 8 -m "$number" "$@" -f grace@partner.example -t it@help.example.com "127.0.0.1:$relay_port" >"$work/load" 2>&1
}
taken_by_postfix() { sed -nE 's/.*cleanup\[[0-9]+\]: [0-9A-F]+: message-id=<(.*)>$/\1/p' "$postfix_dir/maillog"; }
# Every mail that Postfix took is one request, and no other request is there.
compared() {
    taken_by_postfix | sort >"$work/taken"
    ask requests list --json --all --limit 500 | each message_id | sort >"$work/requests"
    [ "$(wc -l <"$work/taken")" -eq "$taken" ] && cmp -s "$work/taken" "$work/requests"
}
each_once() {
    within 30 compared && return
    echo "of $taken mails Postfix took $(wc -l <"$work/taken"), and $(wc -l <"$work/requests") are requests:"
    diff "$work/taken" "$work/requests" | head -n 20
    return 1
}
deferred() { grep -c 'status=deferred' "$postfix_dir/maillog"; }
deferred_since() { [ "$(deferred)" -gt "$1" ]; }
waiting() { find "$postfix_dir/spool/deferred" -type f | wc -l; }
# killed_after NUMBER: so many decisions later. Mail must have been under way.
killed_after() {
    local before
    within 120 have_decided $(($(decisions_made) + $1)) || return 1
    before=$(deferred)
    kill_daemon
    within 120 deferred_since "$before"
}

check 'the daemon stops' stop_daemon
load 3
check 'mails wait while vestibule is down' within 60 eval '[ "$(waiting)" -eq 3 ]'
check 'the log says why' in_maillog 'dsn=4\.4\.1, status=deferred \(connect to 127.0.0.1\[127.0.0.1\].*Connection refused\)'
check 'so does the queue' within 30 eval 'postqueue -p | grep -q "Connection refused"'
nobody() { smtp-source -f grace@partner.example -t nobody@help.example.com "127.0.0.1:$relay_port" 2>&1 | grep -q '550 5.1.1'; }
check 'recipients that vestibule would refuse are refused meanwhile' nobody
run_daemon
check 'Postfix hands them on by itself' within 120 queue_empty
check 'each of them once' each_once

load 900 &
load=$!
taken=$((taken + 900))
check 'vestibule is killed in the middle' killed_after 60
run_daemon
check 'and once more' killed_after 60
run_daemon
check 'Postfix took all of it' wait "$load"
check 'and hands it on in the end' within 180 drained
check 'each mail once' each_once

# Five answers get lost: Postfix can't know that the mails were taken, and sends them again.
copies() { grep -c '"event":"mail.decided".*"reason":"duplicate"' "$work/log"; }
before=$(copies)
cut_port=$(free_port)
/usr/bin/python3 tests/peers/cut.py "$cut_port" "${smtp##*:}" 5 &
cleanups+=("stop $!")
way=$(postconf -h transport_maps)
further "transport_maps = inline:{ help.example.com=smtp:[127.0.0.1]:$cut_port }"
load 5
check 'answers get lost' within 60 in_maillog 'status=deferred \(lost connection with 127.0.0.1.* sending end of data'
check 'Postfix sends those mails again' within 120 queue_empty
check 'vestibule knows them, and drops them' [ "$(copies)" -eq $((before + 5)) ]
check 'each mail once' each_once
further "transport_maps = $way"

if [ "$small_disk" = yes ]; then
    # Less is left than vestibule needs to take mail, and enough for what its index writes at this instant.
    fill() {
        /usr/bin/python3 -B -c 'import sys; sys.path.insert(0, "tests/faults"); import mounts
mounts.Tmpfs(sys.argv[1], 0).fill(leave=4 << 20)' "$work"
    }
    made=$(decisions_made)
    load 300 -l 40000 &
    load=$!
    taken=$((taken + 300))
    check 'mail comes in' within 120 have_decided $((made + 30))
    check 'the disk fills up' fill
    # By now it may have taken all of those.
    check 'more comes in' load 20 -l 40000
    check 'vestibule answers 4xx' within 120 in_maillog 'status=deferred \(host 127.0.0.1.* (421|451|452) 4\.3\.'
    check 'Postfix takes mail all the same' wait "$load"
    check 'and keeps what vestibule has not taken' within 30 eval '[ "$(waiting)" -gt 0 ]'
    check 'its queue has the words of vestibule' within 30 eval 'postqueue -p | grep -qE "4(21|51|52) 4\.3\."'
    check 'vestibule stays' kill -0 "$daemon"
    rm "$work/disk/ballast"
    check 'with room it is all handed on, by itself' within 120 queue_empty
    check 'each mail once' each_once
else
    echo "skipped: a full disk: $(cat "$work/mount.err")"
fi

# From here on Postfix waits as long as it does elsewhere, and is told when to try again.
further 'minimal_backoff_time = 300s
maximal_backoff_time = 4000s
queue_run_delay = 300s'
check 'the daemon stops' stop_daemon
check '2,000 mails come in during an outage' load 2000
check 'and wait' within 180 eval '[ "$(waiting)" -eq 2000 ]'
run_daemon
postqueue -f
check 'vestibule is killed while it takes them' killed_after 700
run_daemon
check 'they are handed on in the end' within 240 drained
check 'each of the 2,000 once' each_once
ask decisions list --json --all --limit 500 | each reason | sort | uniq -c >"$work/reasons"
only_copies() {
    cat "$work/reasons"
    [ "$(awk '/-customer$/ { n += $1 } END { print n }' "$work/reasons")" -eq "$taken" ] &&
        ! grep -vE ' (new-portal-only-customer|known-customer|duplicate)$' "$work/reasons"
}
check 'nothing was decided but these, and copies that Postfix sent again' only_copies

finish
