"""Verbs over whole trees, outside the core: they are loaded when they are first asked for, and nothing of the core knows them."""
