"""Helper package of the interactive book on residual networks.

The package needs torch and numpy to be imported; anything heavier is imported where it is used.
"""

__version__ = "0.1.0"
