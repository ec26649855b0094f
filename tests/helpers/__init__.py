"""What several tests share: small modules, runs, shell lines."""
