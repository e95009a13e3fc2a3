# What a host's nginx looks like now. Reads only; POSIX sh, awk, coreutils or busybox.
# "$1" binary, "$2" pid file, "$3" unit or empty, "$4" ids of executables that are known already.
#
# One fact a line, fields separated by tabs; the last line is "end". The pid files are read first
# and last: when they differ, what lies between is of two moments.
binary=$1 pid_file=$2 unit=$3 known=" $4 " tab=$(printf '\t')

first_line() { # file: set $line
    line=
    [ -r "$1" ] && { IFS= read -r line <"$1" || :; } 2>/dev/null
}
pid_files() { # name of the fact
    first_line "$pid_file"
    content=$line
    first_line "$pid_file.oldbin"
    printf '%s\t%s\t%s\n' "$1" "$content" "$line"
}
describe() { # id, path: what an executable is, once
    case $known in *" $1 "*) return ;; esac
    known="$known$1 "
    sum=$(sha256sum <"$2" 2>/dev/null) || return
    said=$(timeout -k 1 5 "$2" -v 2>&1 </dev/null)
    said=${said#*version: }
    said=${said%%[!A-Za-z0-9._/+~-]*}
    printf 'binary\t%s\t%s\t%s\n' "$1" "${sum%% *}" "$said"
}
process() { # pid
    title=
    first_line "/proc/$1/stat"
    stat=${line##*) }
    first_line "/proc/$1/cmdline"
    [ -n "$stat" ] && [ -n "$line" ] || return
    pid=$1
    if [ ! "/proc/$pid/ns/pid" -ef /proc/self/ns/pid ]; then
        # A container's, or (a link that we may not follow) another user's.
        [ -e "/proc/$pid/ns/pid" ] || printf 'hidden\t%s\n' "$pid"
        return
    fi
    id=$(stat -L -c %d:%i:%s:%Y "/proc/$pid/exe" 2>/dev/null) || return
    title=$line
    exe= cwd= log=
    case $title in
    'nginx: worker'* | 'nginx: cache'*) ;;
    *)
        exe=$(readlink "/proc/$pid/exe")
        cwd=$(readlink "/proc/$pid/cwd")
        log=$(readlink "/proc/$pid/fd/2")
        ;;
    esac
    set -- $stat # state ppid … the 20th is the start time in ticks (proc(5))
    printf 'process\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' \
        "$pid" "$2" "${20}" "$id" "$exe" "$cwd" "$log" "$title"
    pids="$pids $pid"
    describe "$id" "/proc/$pid/exe"
}

set -f
pid_files before
first_line /proc/uptime
printf 'clock\t%s\t%s\n' "${line%% *}" "$(getconf CLK_TCK 2>/dev/null || echo 100)"
pids= children=
set +f
found=$(grep -l '^nginx: ' /proc/[0-9]*/cmdline 2>/dev/null)
set -f
for file in $found; do
    pid=${file#/proc/}
    pid=${pid%/cmdline}
    process "$pid"
    case $title in 'nginx: master'*)
        first_line "/proc/$pid/task/$pid/children"
        children="$children $line"
        ;;
    esac
done
for pid in $children; do # a new binary that has not come so far as to set its title
    case " $pids " in *" $pid "*) ;; *) process "$pid" ;; esac
done
if [ -n "$pids" ]; then
    directories= one=
    for pid in $pids; do
        directories="$directories /proc/$pid/fd"
        one=${one:-/proc/$pid/net}
    done
    # Connections are counted by the local port: those that nginx makes itself are not a client's.
    # /proc/self: ls names the directories only when there are several.
    ls -l $directories /proc/self/fd 2>/dev/null | awk '
        kind == "ls" && /^\/proc\// { split($0, part, "/"); pid = part[3]; next }
        kind == "ls" {
            if (match($0, /socket:\[[0-9]+\]/)) {
                inode = substr($0, RSTART + 8, RLENGTH - 9)
                held[inode] = held[inode] " " pid
            }
            next
        }
        kind == "unix" && ($7 in held) && $4 == "00010000" { listens($7, $8); next }
        kind == "unix" { next }
        !($10 in held) { next }
        ($4 == "0A" && kind ~ /tcp/) || ($4 == "07" && kind ~ /udp/) {
            listens($10, $2)
            split($2, part, ":"); ports[part[2]] = 1
            next
        }
        kind ~ /tcp/ { split($2, part, ":"); connected[$10] = part[2] }
        function listens(inode, where,    n, i, who) {
            n = split(held[inode], who, " ")
            for (i = 1; i <= n; i++)
                printf "listen\t%s\t%s\t%s\t%s\n", who[i], inode, kind, where
        }
        END {
            for (inode in connected) if (connected[inode] in ports) {
                n = split(held[inode], who, " ")
                for (i = 1; i <= n; i++) count[who[i]]++
            }
            for (pid in count) printf "connections\t%s\t%s\n", pid, count[pid]
        }
    ' kind=ls - kind=tcp "$one/tcp" kind=tcp6 "$one/tcp6" kind=udp "$one/udp" \
        kind=udp6 "$one/udp6" kind=unix "$one/unix" 2>/dev/null
fi
if id=$(stat -L -c %d:%i:%s:%Y "$binary" 2>/dev/null); then
    describe "$id" "$binary"
    printf 'disk\t%s\n' "$id"
fi
if [ -n "$unit" ]; then
    names=MainPID,ActiveState,SubState,Result,PIDFile,CanReload,LoadState,ExecReload
    systemctl show --property="$names" -- "$unit" 2>/dev/null | while IFS= read -r line; do
        printf 'unit\t%s\n' "$line"
    done
fi
pid_files after
printf 'end\n'
