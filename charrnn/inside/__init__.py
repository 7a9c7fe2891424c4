"""What a look inside a model computes: surprise, memory, what its units follow.

May import: runs and below. NumPy alone, pure functions of a model and a text: no
file, no network, no process, no clock.
"""
