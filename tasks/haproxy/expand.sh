# List the files that HAProxy reads for the arguments of -f: a directory means its *.cfg that are
# not hidden, in the order of their names (configuration manual, 2; haproxy(1), -f).
# $1: the first line of a file that a killed reload left; $2…: files and directories.
# Prints `plain` or `transient`, the path, and the path without links, between tabs.
mark=$1
shift
show() {
    IFS= read -r first < "$1"
    kind=plain
    [ "$first" = "$mark" ] && kind=transient
    printf '%s\t%s\t%s\n' "$kind" "$1" "$(readlink -f "$1")"
}
for argument; do
    if [ -d "$argument" ]; then
        for file in "$argument"/*.cfg; do
            [ -f "$file" ] && show "$file"
        done
    elif [ -f "$argument" ]; then
        show "$argument"
    fi
done
exit 0
