"""One module per command: its first docstring line is its help; `add_arguments(parser)` and `run(args)` do the rest."""
