"""Commands about models: tables for one, and what few bits cost it."""
