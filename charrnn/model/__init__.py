"""A trained model in NumPy: its folder, its network, what it writes and scores.

May import: text and below. `checkpoint` reads and writes files; `engine`, and
`cache` and `request` with it, have threads; `engine` looks at the clock, and
`network` times its products once. Nothing here uses the network, TensorFlow or a
process.
"""
