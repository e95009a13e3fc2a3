"""Notifications: what happens to runs, told to people where they look, by Apprise.

`events` says what is worth telling, `config` who is told, `outbox` keeps what is still to be sent,
`receiver` sends one message, and `sender` does so beside a worker.
"""
