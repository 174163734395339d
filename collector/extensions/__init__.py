"""Extensions: what stands beside the pipelines."""
