# Put a candidate in the place of a file, with the file's owner, mode, context and attributes.
# $1: where the candidate was uploaded to; $2: the file; $3: prepare | swap.
# prepare: leaves it as FILE.winch-new. swap: keeps the old one as FILE.winch-old, then renames.
new=$2.winch-new
case $3 in
prepare)
    if [ -e "$2" ]; then
        # The copy of the old one brings its attributes along; what is written into it keeps them.
        cp -aT "$2" "$new" && cat "$1" > "$new" && rm -f "$1"
    else
        cp -pT "$1" "$new" && chmod 0644 "$new" && rm -f "$1"
    fi
    ;;
swap)
    if [ -e "$2" ]; then
        cp -aT "$2" "$2.winch-old.part" && mv -fT "$2.winch-old.part" "$2.winch-old" || exit 1
    fi
    sync -d "$new" 2> /dev/null
    mv -fT "$new" "$2"
    ;;
esac
