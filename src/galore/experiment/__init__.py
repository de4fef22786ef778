"""What the programs in experiments/ are made of."""
