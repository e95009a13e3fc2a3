# Send standard input to a Runtime API socket and print the reply.
# $1: path of a unix socket, or HOST:PORT; $2: the same as an address of socat's; $3: the file of the
# balancer's lease, if the input changes something.
LC_ALL=C
export LC_ALL
if [ -n "${3-}" ]; then
    # Whoever reloads this HAProxy holds the lease's lock (worker/guard.sh) from reading the states
    # until the new worker has them: what is said meanwhile would be lost. Others share the lock.
    if [ -O /run/winch ]; then lock=/run/winch; else lock=/tmp/winch-$(id -u); fi
    if [ -d "$lock" ] && command -v flock >/dev/null 2>&1 && exec 8>>"$lock/$3.lease"; then
        flock -n -s 8 || timeout -k 1 12 flock -s 8 || {
            echo "another run reloads this HAProxy, and has not ended after 12 s" >&2
            exit 1
        }
    fi
fi
command -v socat >/dev/null 2>&1 && exec socat -t 10 - "$2"
host=${1%:*} port=${1##*:}
host=${host#\[} host=${host%\]}
# Only an nc that can half-close is of use: OpenBSD's (-N), or Ncat, which does it by itself.
if command -v nc >/dev/null 2>&1; then
    case $(nc -h 2>&1) in
    *Ncat*) half= ;;
    *'unix'*-N* | *-N*'unix'* | *-N*UNIX* | *UNIX*-N*) half=-N ;;
    *) half=none ;;
    esac
    if [ "$half" != none ]; then
        case $1 in
        /*) exec nc $half -U "$1" ;;
        *) exec nc $half -w 10 "$host" "$port" ;;
        esac
    fi
fi
command -v python3 >/dev/null 2>&1 && exec python3 -c '
import socket, sys
try:
    if sys.argv[1].startswith("/"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(sys.argv[1])
    else:
        s = socket.create_connection((sys.argv[2], int(sys.argv[3])), 10)
    s.sendall(sys.stdin.buffer.read())
    s.shutdown(socket.SHUT_WR)
    for part in iter(lambda: s.recv(65536), b""):
        sys.stdout.buffer.write(part)
except OSError as error:
    sys.exit(str(error.strerror or error))
' "$1" "$host" "$port"
command -v perl >/dev/null 2>&1 && exec perl -e '
use IO::Socket::UNIX; use IO::Socket::IP;
my ($path, $host, $port) = @ARGV;
$SIG{ALRM} = sub { print STDERR "Connection timed out\n"; exit 1 };
alarm 10;
my $s = $path =~ m{^/} ? IO::Socket::UNIX->new(Peer => $path)
    : IO::Socket::IP->new(PeerHost => $host, PeerPort => $port);
$s or do { print STDERR "$!\n"; exit 1 };
local $/;
print $s scalar <STDIN>;
$s->flush; shutdown($s, 1);
print scalar <$s>;
' "$1" "$host" "$port"
echo "no socat, nc, python3 or perl" >&2
exit 127
