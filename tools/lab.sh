#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# lab.sh: a lab of network namespaces on this machine, joined by links of a chosen rate. Needs root.
#   lab.sh up -n P --rate RATE [--burst B] [--latency L] [--delay D] [--name NAME]
#             P peers behind links of RATE (100mbit, 1gbit, none) in both directions. B bytes (32kb) may go
#             at once, what would wait longer than L (50ms) is dropped; both follow from RATE unless given.
#             D (5ms): delay of what a peer sends; needs the kernel's netem
#   lab.sh rate [--peer R] --rate RATE [--burst B] [--latency L] [--delay D] [--name NAME]
#             change the links, or that of one peer
#   lab.sh run -n P [--name NAME] [--grace SECONDS] COMMAND...
#             COMMAND in the first P namespaces as ranks 0 to P-1 of one group
#   lab.sh exec [--name NAME] RANK|hub COMMAND...    COMMAND in one namespace
#   lab.sh status [--name NAME]                      links, processes, a measured rate
#   lab.sh down [--name NAME]                        end what runs in it, remove it
#   lab.sh check                                     can there be a lab here? 0, or 77 and why not
# Peer R is 10.77.0.(R+1) on eth0 of namespace weft-NAME-R; the bridge is in weft-NAME-hub. NAME: lab.
set -u
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
most_peers=200 impossible=77
name=lab peers='' rate='' burst='' latency='' delay='' peer='' grace=5

say() {
    echo "lab.sh: $*" >&2
}

stop() { # STATUS WORDS...
    status=$1
    shift
    say "$*"
    exit "$status"
}

usage() {
    say "$*"
    sed -n '/^#   lab.sh/s/^#   /    /p' "$0" >&2
    exit 2
}

whole() { # WHAT TEXT LEAST MOST
    case $2 in
    '' | *[!0-9]* | ??????????*) usage "$1 '$2' is no whole number from $3 to $4" ;;
    esac
    { [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; } || usage "$1 $2 is not from $3 to $4"
}

# Print the number times the factor of its unit; nothing when it is no number with one of these units.
in_units() { # TEXT UNIT=FACTOR...
    awk 'BEGIN {
        number = unit = ARGV[1]
        sub(/[a-z]*$/, "", number)
        sub(/^[0-9.]*/, "", unit)
        if (number !~ /^[0-9]+(\.[0-9]+)?$/)
            exit
        for (i = 2; i < ARGC; i++)
            if (split(ARGV[i], row, "=") == 2 && row[1] == unit)
                printf "%.0f\n", number * row[2]
    }' "$@"
}

bits_of() {
    in_units "$1" bit=1 kbit=1e3 mbit=1e6 gbit=1e9
}

namespace() { # RANK|hub
    echo "weft-$name-$1"
}

# The namespaces of this lab that there are. "weft-lab-3 (id: 5)" is a line of ip.
namespaces() {
    ip netns list 2>/dev/null | awk -v lab="weft-$name-" '
        index($1, lab) == 1 && substr($1, length(lab) + 1) ~ /^(hub|[0-9]+)$/ { print $1 }'
}

peers_there() {
    namespaces | grep -cv -- '-hub$'
}

processes() {
    for space in $(namespaces); do
        ip netns pids "$space" 2>/dev/null
    done
}

need_lab() {
    [ -n "$(namespaces)" ] || {
        others=$(ip netns list 2>/dev/null | sed -n 's/^weft-\([A-Za-z0-9_]*\)-hub.*/\1/p' | tr '\n' ' ')
        stop 1 "there is no lab '$name'${others:+; there are: $others}"
    }
}

need_rank() { # WHAT RANK: a peer of the lab
    whole "$1" "$2" 0 $((most_peers - 1))
    [ "$2" -lt "$(peers_there)" ] || stop 1 "$1 $2: lab '$name' has $(peers_there) peers"
}

# Can this machine have a lab? Says what is missing.
possible() {
    [ "$(id -u)" -eq 0 ] || {
        say "network namespaces need root"
        return $impossible
    }
    for tool in ip tc; do
        command -v $tool >/dev/null || {
            say "no program $tool (Debian: iproute2)"
            return $impossible
        }
    done
    trial=weft-trial-$$
    why=$(ip netns add "$trial" 2>&1 && ip netns exec "$trial" true 2>&1) || {
        ip netns del "$trial" 2>/dev/null
        say "no network namespaces here: $why"
        return $impossible
    }
    why=$(tc -n "$trial" qdisc add dev lo root tbf rate 1mbit burst 10kb latency 50ms 2>&1)
    shaped=$?
    [ $shaped -eq 0 ] || say "the kernel has no tbf, which shapes links: $why"
    if [ $shaped -eq 0 ] && ! why=$(ip -n "$trial" link add veth0 type veth peer name veth1 2>&1 &&
        ip -n "$trial" link add br0 type bridge 2>&1); then
        say "the kernel has no veth pairs or no bridges: $why"
        shaped=1
    fi
    netem=no
    tc -n "$trial" qdisc replace dev lo root netem delay 1ms 2>/dev/null && netem=yes
    ip netns del "$trial"
    [ $shaped -eq 0 ] || return $impossible
}

# What the rate leaves open: 32 KiB and 50 ms at 100 Mbit/s, 128 KiB and 20 ms at 1 Gbit/s, the
# power laws through both elsewhere. A longer burst would let small operations pass unshaped, a
# shorter one keeps the timer of the kernel from reaching the rate.
settle_link() {
    [ "$rate" != none ] || {
        [ -z "$burst$latency" ] || usage "--burst and --latency do not go with --rate none"
        return
    }
    bits=$(bits_of "$rate")
    [ -n "$bits" ] || usage "--rate '$rate': expected such as 100mbit, 1gbit, or none"
    { [ ${#bits} -le 12 ] && [ "$bits" -ge 100000 ]; } ||
        usage "--rate $rate is not from 100kbit to 999gbit"
    [ -n "$burst" ] ||
        burst=$(awk -v r="$bits" 'BEGIN { b = 32768 * (r / 1e8) ^ 0.60206; printf "%.0fkb", (b < 4096 ? 4096 : b) / 1024 }')
    [ -n "$latency" ] ||
        latency=$(awk -v r="$bits" 'BEGIN { l = 50e3 * (r / 1e8) ^ -0.39794; printf "%gms", (l < 5e3 ? 5e3 : l > 2e5 ? 2e5 : l) / 1e3 }')
    bytes=$(in_units "$burst" b=1 k=1024 kb=1024 m=1048576 mb=1048576)
    [ -n "$bytes" ] || usage "--burst '$burst': expected such as 32kb"
    { [ ${#bytes} -le 9 ] && [ "$bytes" -ge 2000 ]; } || usage "--burst $burst is not from 2000b to 900mb"
    time=$(in_units "$latency" us=1 ms=1e3 s=1e6)
    [ -n "$time" ] || usage "--latency '$latency': expected such as 50ms"
    { [ ${#time} -le 8 ] && [ "$time" -ge 100 ]; } || usage "--latency $latency is not from 100us to 99s"
}

# Stop when there can be no lab, or no delay that is asked for.
may_be() {
    [ -z "$delay" ] || [ -n "$(in_units "$delay" us=1 ms=1e3 s=1e6)" ] || usage "--delay '$delay': expected such as 5ms"
    possible || exit
    [ -z "$delay" ] || [ $netem = yes ] ||
        stop $impossible "--delay: the kernel has no netem (the program weather_proxy of the tests delays without it)"
}

# One end of a link. netem, when it is asked for, comes before the bucket.
shape_end() { # NAMESPACE DEVICE DELAY
    tc -n "$1" qdisc del dev "$2" root 2>/dev/null
    where=root
    if [ -n "$3" ]; then
        tc -n "$1" qdisc add dev "$2" root handle 1: netem delay "$3" limit 100000 || return
        where='parent 1:'
    fi
    [ "$rate" = none ] ||
        tc -n "$1" qdisc add dev "$2" $where handle 2: tbf rate "$rate" burst "$burst" latency "$latency"
}

shape() { # RANK
    shape_end "$(namespace "$1")" eth0 "$delay" && shape_end "$(namespace hub)" "p$1" ''
}

remove() {
    for space in $(namespaces); do
        ip netns del "$space" || return
    done
}

make() {
    hub=$(namespace hub)
    ip netns add "$hub" && ip -n "$hub" link set lo up &&
        ip -n "$hub" link add br0 type bridge &&
        ip -n "$hub" addr add 10.77.0.254/24 dev br0 && ip -n "$hub" link set br0 up || return
    i=0
    while [ $i -lt "$peers" ]; do
        space=$(namespace $i)
        ip netns add "$space" && ip -n "$space" link set lo up &&
            ip -n "$hub" link add "p$i" type veth peer name eth0 netns "$space" &&
            ip -n "$hub" link set "p$i" master br0 up &&
            ip -n "$space" addr add 10.77.0.$((i + 1))/24 dev eth0 &&
            ip -n "$space" link set eth0 up && shape $i || return
        i=$((i + 1))
    done
}

describe_link() {
    [ "$rate" = none ] && echo 'unshaped' ||
        echo "$rate in both directions, burst $burst, queue $latency"
}

up() {
    [ -n "$peers" ] || usage "up: how many peers? -n P"
    [ -n "$rate" ] || usage "up: how fast are the links? --rate RATE"
    whole -n "$peers" 2 $most_peers
    settle_link
    may_be
    [ -z "$(processes)" ] || stop 1 "lab '$name' is in use by processes $(processes | tr '\n' ' ')- lab.sh down ends them"
    remove || stop 1 "the old lab '$name' cannot be removed"
    trap 'remove' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    make || stop 1 "lab '$name' cannot be made"
    trap - EXIT INT TERM HUP
    echo "lab '$name': $peers peers, $(describe_link)${delay:+, delay $delay}; netem: $netem"
}

change_rate() {
    [ -n "$rate" ] || usage "rate: how fast? --rate RATE"
    settle_link
    may_be
    need_lab
    if [ -n "$peer" ]; then
        need_rank --peer "$peer"
        list=$peer
    else
        list=$(seq 0 $(($(peers_there) - 1)))
    fi
    for i in $list; do
        shape "$i" || stop 1 "peer $i cannot be given $rate"
    done
    echo "lab '$name': ${peer:+peer $peer }$(describe_link)"
}

down() {
    need_lab
    # A second of asking, a second of killing; what starts meanwhile is met in the next turn.
    for turn in $(seq 20); do
        living=$(processes)
        [ -n "$living" ] || break
        [ "$turn" -le 10 ] && signal=TERM || signal=KILL
        kill -s $signal $living 2>/dev/null
        sleep 0.1
    done
    [ -z "$(processes)" ] || stop 1 "processes $(processes | tr '\n' ' ')in lab '$name' do not end"
    remove
}

link_of() { # NAMESPACE DEVICE: what tc says of it
    told=$(tc -n "$1" qdisc show dev "$2" | sed -n 's/^qdisc netem.* delay \([^ ]*\).*/delay \1/p
        s/^qdisc tbf [^ ]* .* rate \([^ ]*\) burst \([^ ]*\) lat \([^ ]*\).*/\1, burst \2, queue \3/p' | tr '\n' ' ')
    told=${told% }
    echo "${told:-unshaped}"
}

status() {
    need_lab
    count=$(peers_there)
    echo "lab '$name': $count peers, $(processes | wc -l) processes in it"
    i=0
    while [ $i -lt "$count" ]; do
        echo "peer $i, 10.77.0.$((i + 1)): sends $(link_of "$(namespace $i)" eth0); receives $(link_of "$(namespace hub)" p$i)"
        i=$((i + 1))
    done
    [ -z "$(processes)" ] || {
        echo 'rate not measured: the lab is in use'
        return 0
    }
    command -v python3 >/dev/null || {
        echo 'rate not measured: no python3'
        return 0
    }
    python3 "$here/lab_probe.py" "$(namespace 0)" "$(namespace 1)" 10.77.0.2 &&
        python3 "$here/lab_probe.py" "$(namespace 1)" "$(namespace 0)" 10.77.0.1
}

# Signal a peer's process group, or the process alone while it has none yet.
signal_group() { # SIGNAL PID
    kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" "$2" 2>/dev/null
}

signal_living() { # SIGNAL
    for i in $living; do
        eval "signal_group $1 \$pid_$i"
    done
}

# After so many seconds the word comes over the pipe.
remind() { # SECONDS WORD
    setsid sh -c 'sleep "$1" && echo "$2 0" >&9' timer "$1" "$2" 3<&- &
    timers="$timers $!"
}

# End the living: SIGTERM now, SIGKILL a second later.
end_living() {
    ended=1
    signal_living TERM
    remind 1 kill
}

clean_up() {
    signal_living KILL
    for timer in $timers; do
        signal_group KILL "$timer"
        wait "$timer" # some shells tell of a killed process when they reap it
    done
    rm -rf "$folder"
}

interrupted() { # NUMBER
    [ "$caught" -eq 0 ] || return
    caught=$1
    end_living
}

# One rank, in the shell that waits for it: it dies with lab.sh, its command dies with it, and what
# the command started dies with the group. Ranks behind the first keep their words to themselves.
keeper='trap : TERM INT HUP
space=$1
shift
exec 8>&2 2>/dev/null
setpriv --pdeathsig KILL ip netns exec "$space" "$@" 2>&8 8>&- 9>&-
echo "$WEFT_RANK $?" >&9'

start_rank() { # RANK COMMAND...
    rank=$1
    shift
    set -- setsid setpriv --pdeathsig KILL env "WEFT_RANK=$rank" "WEFT_SIZE=$peers" "WEFT_MEET=file://$folder/meet" \
        "WEFT_JOB=lab-$$" "LAB_ADDRESS=10.77.0.$((rank + 1))" sh -c "$keeper" "rank $rank" "$(namespace "$rank")" "$@"
    if [ "$rank" -eq 0 ]; then
        "$@" <&3 3<&- &
    else
        "$@" </dev/null >"$folder/told.$rank" 2>&1 3<&- &
    fi
    eval "pid_$rank=\$!"
}

# Nothing of those that were only ended because another failed.
tell_end() { # RANK STATUS
    case $2:$ended in
    0:* | 143:1) return ;;
    esac
    if [ "$2" -gt 128 ] && [ "$2" -le 192 ]; then
        say "rank $1 was ended by signal $(($2 - 128))"
    else
        say "rank $1 ended with status $2"
    fi
    [ "$1" -eq 0 ] || tail -n 40 "$folder/told.$1" | sed "s/^/[$1] /" >&2
}

run() {
    [ -n "$peers" ] || usage "run: how many peers? -n P"
    [ $# -gt 0 ] || usage "run: no command"
    whole -n "$peers" 1 $most_peers
    whole --grace "$grace" 0 100000
    need_lab
    [ "$peers" -le "$(peers_there)" ] || stop 1 "-n $peers: lab '$name' has $(peers_there) peers"
    command -v "$1" >/dev/null || stop 127 "no program $1"
    for tool in setsid setpriv mkfifo; do
        command -v $tool >/dev/null || stop $impossible "no program $tool (Debian: util-linux, coreutils)"
    done
    folder=$(mktemp -d "${TMPDIR:-/tmp}/weft-lab-XXXXXX") && folder=$(cd "$folder" && pwd) || stop 1 'no folder to meet in'
    living='' timers='' first=0 caught=0 ended=0
    trap 'clean_up 2>/dev/null' EXIT
    trap 'interrupted 2' INT
    trap 'interrupted 15' TERM
    trap 'interrupted 1' HUP
    mkdir "$folder/meet" && mkfifo "$folder/ends" || exit 1
    exec 9<>"$folder/ends"
    # Standard input goes to rank 0; a terminal would stop a process of another session.
    exec 3<&0
    [ ! -t 0 ] || exec 3</dev/null
    while [ "${rank:--1}" -lt $((peers - 1)) ] && [ $caught -eq 0 ]; do
        start_rank $((${rank:--1} + 1)) "$@"
        living="$living $rank"
    done
    while [ -n "$living" ]; do
        read -r who status <&9 || continue # a signal came
        case $who in
        term) end_living ;;
        kill)
            say "rank$living did not end and was killed"
            signal_living KILL
            first=$((first != 0 ? first : 137)) living=
            ;;
        *)
            left=
            for i in $living; do
                [ "$i" -eq "$who" ] || left="$left $i"
            done
            eval "wait \$pid_$who"
            living=$left
            if [ "$status" -ne 0 ] && [ $first -eq 0 ] && [ $caught -eq 0 ]; then
                first=$status
                remind "$grace" term
            fi
            tell_end "$who" "$status"
            ;;
        esac
    done
    [ $caught -eq 0 ] || first=$((128 + caught))
    exit "$first"
}

command=${1:-}
[ $# -eq 0 ] || shift
while [ $# -gt 0 ]; do
    case $1 in
    --*=*)
        option=${1%%=*} value=${1#*=}
        shift
        set -- "$option" "$value" "$@"
        ;;
    esac
    case $1 in
    -n | --name | --rate | --burst | --latency | --delay | --peer | --grace)
        [ $# -ge 2 ] || usage "$1: no value"
        ;;
    esac
    case "$command $1" in
    'up -n' | 'run -n') peers=$2 ;;
    *' --name') name=$2 ;;
    'up --rate' | 'rate --rate') rate=$2 ;;
    'up --burst' | 'rate --burst') burst=$2 ;;
    'up --latency' | 'rate --latency') latency=$2 ;;
    'up --delay' | 'rate --delay') delay=$2 ;;
    'rate --peer') peer=$2 ;;
    'run --grace') grace=$2 ;;
    *' --')
        shift
        break
        ;;
    *' -'*) usage "$command: unknown option $1" ;;
    *) break ;;
    esac
    shift 2
done
case $name in
'' | *[!A-Za-z0-9_]*) usage "--name '$name': letters, digits and _ only" ;;
esac
[ ${#name} -le 32 ] || usage "--name: at most 32 letters"
case $command in
run | exec) ;;
*) [ $# -eq 0 ] || usage "$command: what is '$1'?" ;;
esac
case $command in
run) run "$@" ;;
exec)
    [ $# -ge 2 ] || usage "exec: expected RANK COMMAND..."
    need_lab
    [ "$1" = hub ] || need_rank exec "$1"
    space=$(namespace "$1")
    shift
    exec ip netns exec "$space" "$@"
    ;;
up) up ;;
rate) change_rate ;;
status) status ;;
down) down ;;
check)
    possible || exit
    echo "a lab is possible; netem: $netem"
    ;;
-h | --help | help) sed -n '3,/^set/s/^# \{0,1\}//p' "$0" ;;
'') usage "expected a command" ;;
*) usage "unknown command '$command'" ;;
esac
