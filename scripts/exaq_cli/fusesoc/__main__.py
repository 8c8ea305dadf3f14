"""Where the library of cores is.

fusesoc library add exaq "$(python -m exaq_cli.fusesoc)"
"""

from pathlib import Path

print(Path(__file__).resolve().parent)
