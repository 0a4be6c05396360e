"""``python -m flowmetal`` is the command ``flowmetal``."""

from __future__ import annotations

from flowmetal.cli.entry import main

if __name__ == "__main__":
    main()
