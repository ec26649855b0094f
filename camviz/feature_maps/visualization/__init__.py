"""Images made by optimization or found in data: activation maximization, feature inversion, patches."""
