"""Reports of evaluations: files, Markdown and a picture."""
