"""The result in the files that were asked for: JSON, JUnit XML, Markdown, HTML."""
