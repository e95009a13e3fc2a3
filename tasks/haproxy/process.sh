# Print the working directory of a process, and its arguments, one a line. $1: pid.
readlink "/proc/$1/cwd" && tr '\0' '\n' < "/proc/$1/cmdline"
