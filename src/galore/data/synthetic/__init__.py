"""Invented data sets: birds with parts, scenes with objects, and every image drawn again as it might have been."""
