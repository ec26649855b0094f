"""Misclassified images: the true class, the prediction, and the evidence for each of them."""
