"""The engine: runs plans of steps on hosts. It knows no daemon."""
