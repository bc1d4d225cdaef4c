"""One module per command. Each has HELP, `configure` and `run`, and imports what is heavy in `run`."""
