# Print the lines of files that match, with their numbers.
# $1: an extended regular expression; $2…: files.
expression=$1
shift
for file; do
    printf '== %s\n' "$file"
    grep -nE "$expression" "$file" | cut -c1-400
done
exit 0
