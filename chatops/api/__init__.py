"""The HTTP API: `winch web`. `chatops.api.app.make_app()` makes it."""
