"""tunesmith: turns a general language model into the expert of one domain, and proves it.

Importing this package has no side effect and brings neither torch nor pydantic with it.
"""

__version__ = "0.1.0"
