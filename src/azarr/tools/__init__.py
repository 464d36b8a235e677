"""What the core names and loads at its first use (creating, changing, streaming), and verbs over whole trees: all outside the core."""
