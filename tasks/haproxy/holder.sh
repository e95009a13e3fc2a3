# Print name and pid of the process that has a socket. $1: its inode.
for process in /proc/[0-9]*; do
    case $(ls -l "$process/fd" 2> /dev/null) in
    *"socket:[$1]"*)
        printf '%s (pid %s)\n' "$(cat "$process/comm")" "${process#/proc/}"
        exit 0
        ;;
    esac
done
exit 0
