"""Energy that a mapped unit takes for an element: edges of its nets times the library's tables."""
