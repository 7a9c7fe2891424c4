"""The page: the only folder that imports Gradio.

May import: hub, card, runs, model and below; never `trainer`. Keeps nothing of a
visitor between requests; touches the network as a server alone, and temporary
files for what is downloaded.
"""
