"""The administrations of France and the topics they are competent for: derived by rule, corrected by a table, checked in."""
