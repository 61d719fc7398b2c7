"""Training: labelled passages in, a version out. Needs scikit-learn; see requirements-training.txt."""
