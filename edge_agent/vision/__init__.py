"""Finds people in pictures and counts them over lines."""
