"""What there is to learn: each task brings its data, its model and its scores."""
