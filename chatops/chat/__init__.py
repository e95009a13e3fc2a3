"""Chat: one grammar and one renderer, and an adapter for each network.

grammar   text → request                (pure)
talk      request → may they? → do → card
card      a run's document → card       (pure)
courier   one message a run, kept up to date
slack · mattermost · matrix             card → the network's own form, and its ways in and out
"""
