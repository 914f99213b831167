"""Drafts the first spec of a folder from its files, which are parsed and never run.

`scripts`, `stages`, `notebooks`, `samples` and `surroundings` each read one kind of file, and
`imports` follows imports. `steps` and `staged` turn what they found into steps, `composing` makes
the draft, and `writing` formats it as YAML.
"""
