"""Push a model to the Hugging Face Hub, pull anyone's charrnn model, read a dataset.

May import: card, runs, model and below. What is done here is local: names,
checks, reading and placing the files of one model, decoding a text. `client` alone
imports huggingface_hub and alone uses the network, in a process of its own that
`transfer` starts and, by the clock, may end.
"""
