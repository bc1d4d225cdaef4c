"""Why an installation failed: gathers what it left behind, judges it, writes it down."""
