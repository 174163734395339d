"""`python -m collector`: the same as the command `otelcol-llm`."""

from collector.cli import main

main()
