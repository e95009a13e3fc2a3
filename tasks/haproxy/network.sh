# Print what listens on this host, and which of it is of the processes $1….
# A busy balancer has many thousand sockets; state 0A listens.
printf '== tcp\n'; awk '$4 == "0A"' /proc/net/tcp
printf '== tcp6\n'; [ -r /proc/net/tcp6 ] && awk '$4 == "0A"' /proc/net/tcp6
# Which of the sockets at :: leave IPv4 alone is in no file of /proc.
printf '== v6only\n'; command -v ss > /dev/null && ss -H -6 -ltne | grep 'v6only:1'
printf '== own\n'
for pid; do
    ls -l "/proc/$pid/fd"
done
printf '== fib\n'; grep -E '(\|--|host LOCAL)' /proc/net/fib_trie
printf '== inet6\n'; [ -r /proc/net/if_inet6 ] && cat /proc/net/if_inet6
printf '== nonlocal\n'; cat /proc/sys/net/ipv4/ip_nonlocal_bind
