"""What studies are about: rows of logits, models, and a loop of lookups."""
