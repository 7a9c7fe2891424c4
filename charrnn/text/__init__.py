"""Texts and characters: what is read, decoded, counted and cut into streams.

May import: presets, files, config, machine, errors. Reads files and, in
`sources` alone, the network (named texts). Starts no process, asks no clock.
"""
