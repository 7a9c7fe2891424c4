"""The training itself: the only folder that imports TensorFlow and Keras.

May import: card, runs, model and below. Only the command line,
in the trainer's own process, imports it. Touches a run's folder, the clock, and
the threads of TensorFlow.
"""
