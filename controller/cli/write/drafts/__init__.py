"""The first spec of a folder, from what is in it: files are read as text and never run.

`scripts`, `stages`, `notebooks`, `samples` and `surroundings` read one kind of file each, `imports`
follows modules. `steps` makes steps of what they found, `composing` puts the draft together,
`writing` is its text.
"""
