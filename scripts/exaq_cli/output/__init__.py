"""How results are shown: in words, in charts, in pictures."""
