"""The commands, a module each; ``exaq_cli.main`` lists them."""
