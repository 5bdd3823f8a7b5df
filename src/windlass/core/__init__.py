"""Values and rules: what a project declares and what a bundle holds. No effects but a bundle's files."""
