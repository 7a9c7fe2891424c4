"""JavaScript that the page and a page of one's own share.

Imports nothing and touches nothing: files that `ui` serves.
"""
