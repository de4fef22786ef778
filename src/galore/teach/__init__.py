"""Experiments with people: do explanations teach, and is what the network finds ambiguous also ambiguous to people?"""
