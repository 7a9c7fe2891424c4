"""The training itself: the only folder that imports TensorFlow and Keras.

May import: card, runs, model and below. Only the command line,
in the trainer's own process, imports it. Touches a run's folder, the clock, the
threads of TensorFlow and, of a run on several machines, their sockets; a parent watches
each of its processes there.
"""
