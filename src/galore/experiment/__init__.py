"""What all experiments share: options, test sets, tables, claims, figures, pages, and how a program runs."""
