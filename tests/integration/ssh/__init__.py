"""A real sshd on 127.0.0.1, and the same cases over SSH and on this machine."""
