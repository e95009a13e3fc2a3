# Swap files of keepalived's configuration for changed ones, if `keepalived -t` accepts the whole.
# What stood before is kept beside each as FILE.winch-kept, the very same file; run again, it
# starts from that. $1: priority, track or untrack; $2: the priority or path; $3: instances,
# separated by commas; $4: keepalived.conf; then the files.
set -u
export LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
what=$1 value=$2 names=$3 conf=$4
shift 4

back() { # what somebody has edited meanwhile is left alone
    for file do
        if [ -e "$file.winch-kept" ]; then
            to=$file
            if [ -e "$file.winch-set" ]; then
                [ "$(cksum < "$file")" = "$(cksum < "$file.winch-set")" ] || to=$file.winch-before
            fi
            mv -f "$file.winch-kept" "$to"
        fi
        rm -f "$file.winch-new" "$file.winch-set"
    done
}

edit() {
    case $what in
    priority)
        # In the blocks of these instances: every priority is the new one, and there is one.
        awk -v names=",$names," -v value="$value" '
            depth == 0 && $1 == "vrrp_instance" {
                name = $2; sub(/\{.*/, "", name); gsub(/"/, "", name)
                ours = index(names, "," name ",") > 0; added = 0
            }
            {
                line = $0
                if (ours && depth == 1 && line ~ /^[ \t]*(@[^ \t]+[ \t]+)?priority[ \t]/) next
                print line
                sub(/[#!].*/, "", line)
                depth += gsub(/\{/, "", line) - gsub(/\}/, "", line)
                if (ours && depth == 1 && !added) { print "    priority " value; added = 1 }
                if (ours && depth == 0 && added) ours = 0
            }'
        ;;
    track)
        awk -v names=",$names," -v path="$value" -v top="$2" '
            function begin() { print "# begin: winch pair prepare" }
            function end() { print "# end: winch pair prepare" }
            FNR == 1 && top {
                begin()
                print "track_file winch_maint {"
                print "    file \"" path "\"\n    weight 1\n    init_file 0\n}"
                end()
            }
            depth == 0 && $1 == "vrrp_instance" {
                name = $2; sub(/\{.*/, "", name); gsub(/"/, "", name)
                ours = index(names, "," name ",") > 0; added = 0
            }
            {
                line = $0
                print line
                sub(/[#!].*/, "", line)
                depth += gsub(/\{/, "", line) - gsub(/\}/, "", line)
                if (ours && depth == 1 && !added) {
                    begin()
                    print "    track_file {\n        winch_maint\n    }"
                    end()
                    added = 1
                }
                if (ours && depth == 0 && added) ours = 0
            }'
        ;;
    untrack)
        sed '/^# begin: winch pair prepare$/,/^# end: winch pair prepare$/d'
        ;;
    esac < "$1"
}

back "$@"
trap 'back "$@"' EXIT
trap 'exit 1' HUP INT TERM
top=1 # the file that is read first gets the definition
for file do
    cp -p "$file" "$file.winch-new" && edit "$file" $top > "$file.winch-new" || exit 1
    top=0
done
for file do
    cp -p "$file.winch-new" "$file.winch-set" &&
        ln "$file" "$file.winch-kept" && mv -f "$file.winch-new" "$file" || exit 1
done
keepalived -t -f "$conf" 2>&1 || exit 65
trap - EXIT
