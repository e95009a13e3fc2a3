"""The ways in: parse, authorise, ask `workflows`, render."""
