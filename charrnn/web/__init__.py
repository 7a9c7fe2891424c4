"""A model as one web page that writes offline, and the JavaScript in it.

Imports NumPy and what lies under `model/`; touches the file that it is asked for.
Runs no process and opens no connection. `ui` serves `sampling.js`, which both pages
share.
"""
