"""A trained model in NumPy: its folder, its network, what it writes and scores.

May import: text and below. `checkpoint` reads and writes files; `engine` has
threads and a clock; nothing here uses the network, TensorFlow or a process.
"""
