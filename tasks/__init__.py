"""What Winch can do to one host: one package a technology."""
