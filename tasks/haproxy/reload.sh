# Reload HAProxy, and hold its servers' states over the change of its worker. All of it is one
# command under the guard: while it runs, no other run changes a server here (talk.sh).
#
# $1: talk.sh; $2: the master's socket, and $3 as socat calls it; $4: pid of the worker that serves;
# $5: how many reloads there have been; $6: seconds to wait for the new worker; then pairs: a file
# of the configuration, and what stands in its place while HAProxy reads it.
# Standard input: a SHA-256 of the servers' states; the file to dump them to, or nothing; then
# commands for the new worker, those of one connection a line, with @PID@ for it.
# Exit: 0, the new worker serves; 75, the states changed meanwhile and nothing was done; 76, the
# reload failed and the old worker serves; 77, no new worker in time; 72, the master's socket may
# not reload; else, nothing was done.
talk=$1 socket=$2 address=$3 old=$4 count=$5 seconds=$6
shift 6
trap '' HUP PIPE
trap 'exit 70' INT TERM
trap 'put_back "$@"' EXIT

ask() { printf '%s\n' "$1" | sh -c "$talk" sh "$socket" "$address" 2>/dev/null; }

put_back() {
    while [ $# -gt 1 ]; do
        if [ -e "$1.winch-keep" ]; then
            if [ "$1.winch-keep" -ef "$1" ]; then
                rm -f "$1.winch-keep"
            else
                mv -fT "$1.winch-keep" "$1"
            fi
        fi
        rm -f "$2" "$1.winch-state"
        shift 2
    done
}

swap() {
    while [ $# -gt 1 ]; do
        ln -fT "$1" "$1.winch-keep" || cp -pT "$1" "$1.winch-keep" || return 1
        mv -fT "$2" "$1" || return 1
        shift 2
    done
}

IFS= read -r seen
IFS= read -r dump
orders=$(cat)

states=$(ask "@!$old show servers state")
now=$(printf '%s\n' "$states" | grep -E '^[0-9]+ [^<]' | cut -d' ' -f2,4,7,8 | sha256sum)
[ "${now%% *}" = "$seen" ] || exit 75
if [ -n "$dump" ]; then
    printf '%s\n' "$states" > "$dump.winch" && mv -fT "$dump.winch" "$dump" || exit 71
fi
swap "$@" || exit 71

end=$(($(date +%s) + seconds))
said=$(ask reload)
case $said in
*'Another reload is still in progress'*) exit 75 ;;
*'Permission denied'*) exit 72 ;;
esac
new=
while :; do
    processes=$(ask 'show proc')
    line=$(printf '%s\n' "$processes" | grep -E '^[0-9]+ +master ')
    case $line in
    '' | *" master  "*" $count [failed: "*) ;; # it has not begun yet, or is under way
    *'[failed: 0]'*)
        new=$(printf '%s\n' "$processes" | sed -n '/^# workers/{n;s/^\([0-9][0-9]*\) .*/\1/p;}')
        [ -n "$new" ] && [ "$new" != "$old" ] && break
        ;;
    *)
        new=
        break
        ;;
    esac
    new=
    [ "$(date +%s)" -lt "$end" ] || break
    sleep 0.02 2>/dev/null || sleep 1
done
put_back "$@"
set --

if [ -n "$new" ]; then
    printf '%s\n' "$orders" | while IFS= read -r order; do
        [ -n "$order" ] && ask "$(printf '%s\n' "$order" | sed "s/@PID@/@!$new/g")"
    done > /dev/null # what was refused shows in the states
    printf '== states\n%s\n' "$(ask "@!$new show servers state")"
    printf '== stat\n%s\n' "$(ask "@!$new show stat -1 4 -1")"
fi
printf '== processes\n%s\n== said\n%s\n' "$processes" "$said"
[ -n "$new" ] && exit 0
case $line in
*'[failed: 0]'* | '') exit 77 ;;
esac
exit 76
