"""SVG charts for reports, one look."""
