"""The run board: the pages at `/` of `winch web`. `chatops.board.mount.mount_board(app)` adds them.

The pages are a shell without data; all that they show comes from the HTTP API, in the browser.
"""
