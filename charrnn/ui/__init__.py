"""The page: the only folder that imports Gradio.

May import: hub, card, runs, model and below; never `trainer`. Keeps nothing of a
visitor between requests. Touches the network as a server alone, temporary files for
what is downloaded, the clock, signals that end it, and threads that clean up.
"""
