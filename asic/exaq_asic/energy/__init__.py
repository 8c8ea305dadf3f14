"""What a mapped unit takes of energy for an element: edges of its nets times the library's tables."""
