"""nginx: its binary upgraded in place, and brought back from anywhere."""
