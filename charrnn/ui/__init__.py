"""The page: the only package here that imports Gradio."""
