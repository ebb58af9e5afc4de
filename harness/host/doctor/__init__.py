"""`harness doctor`: a check per question, the whole examination, and what can be fixed."""
