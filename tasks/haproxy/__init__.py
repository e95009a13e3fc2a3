"""HAProxy: its Runtime API, what it says of its servers, and the steps that drain and enable."""
