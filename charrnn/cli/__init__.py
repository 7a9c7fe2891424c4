"""The command line: `charrnn COMMAND`, or `python -m charrnn COMMAND`.

May import everything; the only folder that imports `trainer`, in the process
that trains. Prints, reads the terminal, signals and the clock, and writes what is
exported; starts no thread of its own.
"""
