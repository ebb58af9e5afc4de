"""DAG files: parsed or not, refused, or defining one DAG twice."""
