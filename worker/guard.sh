# The guard: shell functions that are sent once to each shell on a host (worker/guard.py).
# POSIX sh; dash, busybox and bash are tried. No fork but flock's on the way that is always taken.
#
# A lease's file holds one line, the highest number seen. It is locked while a command runs, and it
# is never replaced, truncated or removed: another inode would be another lock, and an empty file
# would be a forgotten number. A newer number is written over the older one in place, with a single
# write(2) of at most 20 bytes; numbers only grow, so no digit of the older one stays behind.

# WINCH_RUN_DIR, if the host's sshd sets it: several hosts on one machine (a demo, containers).
winch_dir=${WINCH_RUN_DIR:-}
if [ -n "$winch_dir" ]; then :; elif [ "$(id -u)" = 0 ]; then winch_dir=/run/winch; else winch_dir=/tmp/winch-$(id -u); fi
winch_private=
winch_mark=
winch_wait=30

# Say why nothing was run: word, text. The mark tells this line from anything a command may print.
winch_say() {
    printf '%s %s %s\n' "$winch_mark" "$1" "$2" >&2
}

winch_directory() {
    [ -d "$winch_dir" ] || mkdir -m 0700 "$winch_dir" 2>/dev/null
    if [ ! -d "$winch_dir" ] || [ -L "$winch_dir" ] || [ ! -O "$winch_dir" ]; then
        winch_say trouble "$winch_dir is not a directory that belongs to us: remove it"
        return 1
    fi
    [ -n "$winch_private" ] || { chmod 0700 "$winch_dir" && winch_private=yes; }
}

# Lock descriptor 9. `flock -w` is not busybox's, so waiting is left to timeout.
winch_lock() {
    flock -n 9
    case $? in
    0) return 0 ;;
    127)
        winch_say trouble "flock is not there: install util-linux"
        return 1
        ;;
    esac
    timeout -k 1 "$winch_wait" flock 9 && return 0
    winch_say busy "$1"
    return 1
}

# Compare our number with the one in the file, and store ours when it is newer. An error in a
# comparison ends in the last branch: in doubt, refuse.
winch_compare() {
    winch_seen=0
    if [ -s "$winch_file" ]; then
        IFS= read -r winch_seen <&9
        case $winch_seen in
        '' | *[!0-9]*)
            winch_say trouble "$winch_file is damaged: see that no run is under way, and remove it"
            return 112
            ;;
        esac
    fi
    if [ "$2" -gt "$winch_seen" ]; then
        printf '%s\n' "$2" 1<>"$winch_file" && return 0
        winch_say trouble "cannot write $winch_file"
        return 112
    fi
    [ "$2" = "$winch_seen" ] && return 0
    winch_say fenced "$1 $winch_seen $2"
    return 113
}

# Run a command under leases: NAME NUMBER [NAME NUMBER]... -- [COMMAND...]
#
# Each level of recursion holds one lock on descriptor 9; the shell keeps the outer ones on copies
# that are closed on exec. The command gets none of them: what it leaves behind (a daemon, say)
# would hold the lease otherwise.
winch_guard() {
    if [ "$1" = -- ]; then
        shift
        [ $# -eq 0 ] || "$@" 9>&-
        return
    fi
    winch_directory || return 112
    winch_file=$winch_dir/$1.lease
    winch_opened=
    {
        winch_opened=yes
        if winch_lock "$1"; then
            winch_compare "$1" "$2" && {
                shift 2
                winch_guard "$@"
            }
        else
            (exit 112)
        fi
    } 9<>"$winch_file"
    winch_code=$?
    if [ -z "$winch_opened" ]; then
        winch_opened=yes
        winch_say trouble "cannot open $winch_file"
        return 112
    fi
    return $winch_code
}
