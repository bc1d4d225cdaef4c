"""One module per command: HELP, `configure` and `run`, which imports what is heavy."""
