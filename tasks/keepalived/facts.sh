# What is so on a member of a VRRP pair, in one round trip. Prints sections: "@word argument", then
# lines that begin with a space. Changes nothing but keepalived's own dump of its data.
# $1: a track_file to look at besides those that the configuration names.
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH

quoted() { sed 's/^/ /'; }

echo "@now $(date +%s.%N)"
unit=$(systemctl show --property=ActiveState --value keepalived.service 2> /dev/null)
pid=$(systemctl show --property=MainPID --value keepalived.service 2> /dev/null)
case $pid in '' | 0) pid=$(cat /run/keepalived.pid 2> /dev/null) ;; esac
[ "$(cat "/proc/${pid:-0}/comm" 2> /dev/null)" = keepalived ] || pid=0
echo "@unit $unit"
echo "@pid $pid"

conf=
if [ "$pid" -gt 0 ]; then
    conf=$(tr '\0' '\n' < "/proc/$pid/cmdline" | awk '
        next_is { print; exit }
        /^(-f|--use-file)$/ { next_is = 1; next }
        /^--use-file=/ { sub(/^--use-file=/, ""); print; exit }
        /^-f./ { sub(/^-f/, ""); print; exit }')
fi
conf=${conf:-/etc/keepalived/keepalived.conf}
echo "@conf $conf"

files=$(mktemp) || exit 1
trap 'rm -f "$files"' EXIT
emit() { # FILE DEPTH
    [ -r "$1" ] && [ "$2" -lt 8 ] || return 0
    echo "$1" >> "$files"
    echo "@file $1"
    sed 's/\(auth_pass[[:space:]]\{1,\}\).*/\1*/' "$1" | quoted
    awk '$1 ~ /^include[a-z]?$/ { print $2 }' "$1" | tr -d '"' | while read -r pattern; do
        (
            cd "$(dirname "$1")" || exit
            for each in $pattern; do
                case $each in /*) ;; *) each=$PWD/$each ;; esac
                if [ -f "$each" ]; then emit "$each" $(($2 + 1)); fi
            done
        )
    done
}
emit "$conf" 0
while read -r file; do
    if [ -e "$file.winch-kept" ]; then echo "@kept $file"; fi
done < "$files"

{
    echo "$1"
    xargs -r -d '\n' awk '
        $1 ~ /^(vrrp_)?track_file$/ && $2 != "" && $2 !~ /^\{/ { inside = 1 }
        inside && $1 == "file" { gsub(/"/, "", $2); print $2 }
        /}/ { inside = 0 }' < "$files"
} | sort -u | while read -r file; do
    if [ -n "$file" ] && [ -e "$file" ]; then
        echo "@track $file"
        head -c 64 "$file" | head -n 1 | quoted
    fi
done

# A signal before keepalived has its handlers would end it: only once its unit is ready.
signal=$(keepalived --signum=JSON 2> /dev/null)
case $unit in '' | active | reloading) ;; *) signal= ;; esac
if [ "$pid" -gt 0 ] && [ -n "$signal" ]; then
    echo "@json"
    # Two who look at once must not take each other's dump away.
    mkdir -p /run/winch && exec 9> /run/winch/keepalived-data.lock && flock -w 5 9
    dump=/proc/$pid/root/tmp/keepalived.json
    rm -f "$dump"
    kill "-$signal" "$pid"
    tries=0
    while [ $tries -lt 100 ]; do
        case $(tail -c 2 "$dump" 2> /dev/null) in *] | *\}) break ;; esac
        sleep 0.02
        tries=$((tries + 1))
    done
    sed 's/"auth_data":"[^"]*"/"auth_data":""/g' "$dump" 2> /dev/null | quoted
    exec 9>&-
fi
echo "@addr"
ip -json address show | quoted
