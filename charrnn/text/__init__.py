"""Texts and characters: what is read, decoded, counted and cut into streams.

May import: presets, files, config, machine, errors. Reads files and, in
`sources` alone, the network (named texts), with a thread and a clock that end a
download which takes too long. Starts no process.
"""
