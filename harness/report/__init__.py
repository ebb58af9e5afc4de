"""One result model; each other module renders it for one reader."""
