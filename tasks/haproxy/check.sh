# Check a configuration as the running HAProxy would read it: with its environment, in its working
# directory, by the binary that a reload executes. $1: pid of the master; $2: its own name of the
# binary; $3…: arguments.
pid=$1
shift
cd "$(readlink "/proc/$pid/cwd")" || exit 70
# Environment and arguments become one list for env; without what the master tells its workers.
{
    grep -zvE '^(HAPROXY_(MWORKER|PROCESSES|LOAD_SUCCESS|STARTUP_VERSION)|NOTIFY_SOCKET=|LISTEN_)' \
        < "/proc/$pid/environ"
    printf '%s\0' "$@"
} | xargs -0 env -i 2>&1
