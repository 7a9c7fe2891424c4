"""Character-level recurrent networks: train on a text, watch, sample, share.

Importing this package loads nothing heavy: TensorFlow, Gradio and the Hub's
client come in only with the modules that need them.
"""

__version__ = "0.2.0.dev0"
