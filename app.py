"""The page at http://127.0.0.1:7860, or on a Space: `python app.py`."""

from charrnn.ui.page import demo, main

__all__ = ["demo"]

if __name__ == "__main__":
    main()
